"""The states of one version, the legal moves between them, and the count of its running calls."""

from enum import IntEnum
from threading import Condition
from typing import Generic, TypeVar

from modelserver.errors import StatusError

S = TypeVar("S")


class VersionState(IntEnum):
    """ModelVersionStatus.State of TensorFlow Serving's API, with its numbers."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


MOVES: dict[VersionState, frozenset[VersionState]] = {
    VersionState.START: frozenset({VersionState.LOADING, VersionState.END}),
    VersionState.LOADING: frozenset({VersionState.AVAILABLE, VersionState.END}),
    VersionState.AVAILABLE: frozenset({VersionState.UNLOADING}),
    VersionState.UNLOADING: frozenset({VersionState.END}),
    VersionState.END: frozenset(),
}
"""State -> the states that may follow it."""


class IllegalTransitionError(AssertionError):
    """The new state may not follow the present one."""


class Version(Generic[S]):
    """One version of one model, from START to END. A version that is loaded again is a new object.

    Threads may call its methods at the same time.
    """

    def __init__(self, name: str, number: int, path: str) -> None:
        self.name = name
        self.number = number
        self.path = path
        self.state = VersionState.START
        self.error: StatusError | None = None
        self._servable: S | None = None
        self._calls = 0
        self._changed = Condition()

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.number}}}"

    def loading(self) -> None:
        """Moves from START to LOADING."""
        with self._changed:
            self._move(VersionState.LOADING)

    def loaded(self, servable: S) -> None:
        """Moves from LOADING to AVAILABLE: calls may enter."""
        with self._changed:
            self._move(VersionState.AVAILABLE)
            self._servable = servable

    def failed(self, error: StatusError) -> None:
        """Moves from START or LOADING to END and keeps the reason in `error`."""
        with self._changed:
            self._move(VersionState.END)
            self.error = error

    def unloading(self) -> None:
        """Moves from AVAILABLE to UNLOADING: no further call may enter."""
        with self._changed:
            self._move(VersionState.UNLOADING)

    def release(self) -> S:
        """Waits until all calls have left, then returns the servable, to be closed. May be called once."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls == 0)
            servable, self._servable = self._servable, None
        assert servable is not None, f"{self} was released twice"
        return servable

    def unloaded(self) -> None:
        """Moves from UNLOADING to END."""
        with self._changed:
            self._move(VersionState.END)

    def enter(self) -> S | None:
        """Begins a call: returns the servable, loaded until `leave`; None if the version is not AVAILABLE."""
        with self._changed:
            if self.state is not VersionState.AVAILABLE:
                return None
            self._calls += 1
            return self._servable

    def leave(self) -> None:
        """Ends a call that `enter` began."""
        with self._changed:
            self._calls -= 1
            if self._calls == 0:
                self._changed.notify_all()

    def _move(self, state: VersionState) -> None:
        if state not in MOVES[self.state]:
            raise IllegalTransitionError(f"{self} cannot go from {self.state.name} to {state.name}")
        self.state = state
