"""Measures the application over HTTP against other ways to run the same model on the same machine.

`python -m bench`. Uses the application only through its command line, its configuration file and its HTTP
API.
"""
