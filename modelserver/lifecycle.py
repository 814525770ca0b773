"""One version's life: its states, and the calls that hold it while it answers. Knows no files or graphs."""

from enum import IntEnum
from threading import Condition
from typing import Generic, TypeVar

from modelserver.errors import Status

S = TypeVar("S")


class VersionState(IntEnum):
    """ModelVersionStatus.State, by TensorFlow Serving's numbers."""

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


class IllegalTransitionError(AssertionError):
    """A state that cannot follow the present one."""


class Version(Generic[S]):
    """One version of one model. A version that comes back begins anew, as another object."""

    def __init__(self, name: str, number: int, path: str) -> None:
        self.name = name
        self.number = number
        self.path = path
        self.state = VersionState.START
        self.error: Status | None = None
        self._servable: S | None = None
        self._calls = 0
        self._changed = Condition()

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.number}}}"

    def loading(self) -> None:
        with self._changed:
            self._move(VersionState.LOADING)

    def loaded(self, servable: S) -> None:
        with self._changed:
            self._move(VersionState.AVAILABLE)
            self._servable = servable

    def failed(self, error: Status) -> None:
        with self._changed:
            self._move(VersionState.END)
            self.error = error

    def unloading(self) -> None:
        """From here on no new call gets in."""
        with self._changed:
            self._move(VersionState.UNLOADING)

    def release(self) -> S:
        """Wait for the calls in flight, then hand out the servable for closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls == 0)
            servable, self._servable = self._servable, None
        assert servable is not None, f"{self} was released twice"
        return servable

    def unloaded(self) -> None:
        with self._changed:
            self._move(VersionState.END)

    def enter(self) -> S | None:
        """The servable, held against unloading until `leave`; None unless the version is available."""
        with self._changed:
            if self.state is not VersionState.AVAILABLE:
                return None
            self._calls += 1
            return self._servable

    def leave(self) -> None:
        """A call that entered has ended."""
        with self._changed:
            self._calls -= 1
            if self._calls == 0:
                self._changed.notify_all()

    def _move(self, state: VersionState) -> None:
        if state not in MOVES[self.state]:
            raise IllegalTransitionError(f"{self} cannot go from {self.state.name} to {state.name}")
        self.state = state
