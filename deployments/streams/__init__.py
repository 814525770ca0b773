"""Streams between processes, at a cost per step: one frame carries all that a process has for another.

A generation is one ordinary call between deployments. What it yields travels beside the call, over a
connection that all generations between the two processes share.
"""
