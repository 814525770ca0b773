"""Streams between processes at a cost per step: all that one process has for another travels in one frame.

A generation is one ordinary call between deployments; what it yields comes beside it, over a connection that
all generations between the two processes share.
"""
