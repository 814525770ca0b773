"""All failures of a request as one exception tree: whose fault it is, and the HTTP status.

    TensorloomError                     500  a fault of this server
    ├── RequestError                    400  a fault of the request
    │   ├── ContextOverflow             400  prompt and answer do not fit the model's context
    │   └── ModelNotFound               404  no such model in this application
    ├── Overloaded                      429  the waiting queue is full; try again later
    └── ModelServerUnavailable          503  no model server answered in time
        └── ServableReplaced            503  the version that the prompt was encoded for is no longer served

An accepted request ends with exactly one finish reason or one of these errors. They cross process boundaries:
each is pickled as its class and arguments.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar


class TensorloomError(Exception):
    """A failure with a message for the client; `param` names the field at fault, if there is one."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = "internal_error"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def __reduce__(self) -> tuple[Callable[..., "TensorloomError"], tuple[Any, ...]]:
        return type(self), (self.message, self.param)

    @property
    def retry_after_s(self) -> int | None:
        """Seconds after which the client should try again; None if trying again does not help."""
        return None


class RequestError(TensorloomError):
    """The client sent a value that is not allowed; the message names the value and what is allowed."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class ContextOverflow(RequestError):
    """The prompt and the requested answer together exceed the model's context length."""

    code = "context_length_exceeded"


class ModelNotFound(RequestError):
    """The request names a model that this application does not serve."""

    status = 404
    code = "model_not_found"


class Overloaded(TensorloomError):
    """The waiting queue is full."""

    status = 429
    type = "rate_limit_error"
    code = "queue_full"

    @property
    def retry_after_s(self) -> int:
        """Seconds after which the client should try again."""
        return 1


class ModelServerUnavailable(TensorloomError):
    """The model's servers, or a process in front of them, did not answer within the configured time."""

    status = 503
    type = "service_unavailable_error"
    code = "model_server_unavailable"

    @property
    def retry_after_s(self) -> int:
        """Seconds after which the client should try again."""
        return 5


class ServableReplaced(ModelServerUnavailable):
    """Another version of the model is served now; the prompt must be encoded again."""

    code = "servable_replaced"


def find(error: BaseException) -> TensorloomError | None:
    """Returns the TensorloomError inside `error` and any of Ray's wrappers, or None."""
    return next((e for e in _chain(error) if isinstance(e, TensorloomError)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        # Ray keeps the remote exception in `cause`. The wrapper is of a class derived from its class, but the
        # constructor was not called: only the innermost exception is complete.
        inner = getattr(following, "cause", None)
        if not isinstance(inner, BaseException):
            yield following
            inner = following.__cause__
        following = inner
