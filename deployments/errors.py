"""Every way a request can fail, as one tree: whose fault it is, with the HTTP status.

    TensorloomError                     500  ours
    ├── RequestError                    400  the client's
    │   ├── ContextOverflow             400  prompt and answer do not fit the model's context
    │   └── ModelNotFound               404  no such model in this application
    ├── Overloaded                      429  the waiting queue is full; try again after a while
    └── ModelServerUnavailable          503  no model server answers, and none came back in time
        └── ServableReplaced            503  the version that the prompt was encoded for is served no longer

An accepted request ends in exactly one finish or one of these. They cross process boundaries: each
pickles as its class and arguments.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar


class TensorloomError(Exception):
    """A failure with a message for the client; `param` names the field at fault, if one is."""

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
        """After how many seconds a new try makes sense; None where the client must change something."""
        return None


class RequestError(TensorloomError):
    """A value that the client sent is not allowed; the message names it and what is."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class ContextOverflow(RequestError):
    """Prompt and requested answer together exceed the model's context."""

    code = "context_length_exceeded"


class ModelNotFound(RequestError):
    """The request names a model that is not served here."""

    status = 404
    code = "model_not_found"


class Overloaded(TensorloomError):
    """The waiting queue is full."""

    status = 429
    type = "rate_limit_error"
    code = "queue_full"

    @property
    def retry_after_s(self) -> int:
        return 1


class ModelServerUnavailable(TensorloomError):
    """No replica of the model server answered within the configured time."""

    status = 503
    type = "service_unavailable_error"
    code = "model_server_unavailable"

    @property
    def retry_after_s(self) -> int:
        return 5


class ServableReplaced(ModelServerUnavailable):
    """Another version of the model is served now; the prompt has to be encoded anew."""

    code = "servable_replaced"


def find(error: BaseException) -> TensorloomError | None:
    """The TensorloomError inside `error`, however many process boundaries have wrapped it."""
    return next((e for e in _chain(error) if isinstance(e, TensorloomError)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        # Ray keeps the remote exception in `cause` and derives the wrapper from its class,
        # without calling its constructor: the innermost is the only complete one.
        inner = getattr(following, "cause", None)
        if not isinstance(inner, BaseException):
            yield following
            inner = following.__cause__
        following = inner
