"""Streams of chunks between processes. One frame carries all items that a process sends another at a time.

A generation is one ordinary call between deployments. Its chunks travel beside the call, over a connection (a
link) that all generations between the two processes share, each in a lane of its own.
"""
