"""Errors with the gRPC code and the message that the real server sends."""

import grpc

MESSAGE_BYTES = 1024
"""The longest message that is sent whole, in bytes of UTF-8."""
TRUNCATED = "...TRUNCATED"
"""What follows a message that was cut."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class StatusError(Exception):
    """A call or a load failed with `code` and `message`."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message

    @property
    def sent_message(self) -> str:
        """The message as it is sent: cut after MESSAGE_BYTES and marked with TRUNCATED."""
        encoded = self.message.encode()
        if len(encoded) <= MESSAGE_BYTES:
            return self.message
        return encoded[:MESSAGE_BYTES].decode(errors="ignore") + TRUNCATED


def of_tensorflow(code: int, message: str) -> StatusError:
    """Returns the error of a TensorFlow error code; TensorFlow uses gRPC's numbers."""
    return StatusError(_CODES.get(code, grpc.StatusCode.UNKNOWN), message)


def invalid(message: str) -> StatusError:
    """Returns an INVALID_ARGUMENT error."""
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    """Returns a NOT_FOUND error."""
    return StatusError(grpc.StatusCode.NOT_FOUND, message)


def unknown(message: str) -> StatusError:
    """Returns an UNKNOWN error."""
    return StatusError(grpc.StatusCode.UNKNOWN, message)


def failed_precondition(message: str) -> StatusError:
    """Returns a FAILED_PRECONDITION error."""
    return StatusError(grpc.StatusCode.FAILED_PRECONDITION, message)
