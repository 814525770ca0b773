"""Errors as the wire knows them: a gRPC code and a message that the real server would have sent."""

import grpc

MESSAGE_BYTES = 1024
TRUNCATED = "...TRUNCATED"

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Status(Exception):
    """A call or a load that ends with `code` and `message`."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message

    @property
    def wire_message(self) -> str:
        """The message as it is sent: at most 1024 bytes, then a mark that it was cut."""
        encoded = self.message.encode()
        if len(encoded) <= MESSAGE_BYTES:
            return self.message
        return encoded[:MESSAGE_BYTES].decode(errors="ignore") + TRUNCATED


def status_of_number(code: int, message: str) -> Status:
    """TensorFlow's error codes carry gRPC's numbers."""
    return Status(_CODES.get(code, grpc.StatusCode.UNKNOWN), message)


def invalid(message: str) -> Status:
    return Status(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Status:
    return Status(grpc.StatusCode.NOT_FOUND, message)


def unknown(message: str) -> Status:
    return Status(grpc.StatusCode.UNKNOWN, message)


def failed_precondition(message: str) -> Status:
    return Status(grpc.StatusCode.FAILED_PRECONDITION, message)
