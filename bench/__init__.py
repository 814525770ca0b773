"""Measures the application over HTTP against simpler ways to run the same model on the same machine.

`python -m bench`. Treats the application as a black box: knows its command line, its configuration file
and its HTTP API.
"""
