"""What can go wrong in a benchmark that is not a defect of it."""

import grpc


class BenchError(Exception):
    """Base of this package's own errors; the message is for the user."""


class SettingsError(BenchError):
    """The configuration has nothing that can be measured."""


class Unavailable(BenchError):
    """A contender cannot be run on this machine; the message says why."""


class ProcessEnded(BenchError):
    """A process ended by itself; the message holds the end of its log."""


class ResponseError(BenchError):
    """A server's response is an error, incomplete, or not a stream of events."""


class TimeUsedUp(BenchError):
    """The time budget does not allow another measurement."""


TIME_USED_UP = "the time was used up"
"""The message of `TimeUsedUp`."""


FAILURES = (BenchError, grpc.RpcError, TimeoutError, ValueError, OSError)
"""Errors that end one contender's turn, or a command with status 1."""
