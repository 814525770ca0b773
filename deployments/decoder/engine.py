"""What the loop asks of an engine: run a planned call, give back each row's new tokens. Knows no layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from deployments.decoder.scheduler import Batch
from deployments.decoder.sequence import TokenSequence
from deployments.messages import TokenLogprobs


@dataclass(frozen=True, slots=True)
class Sampled:
    """A row's new tokens."""

    ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] | None = None
    """Of each; None where the sequence does not ask."""


NOTHING = Sampled()


class StepRejectedError(Exception):
    """The model server answered, and will answer the same again: the call itself is at fault."""


class NoTokenError(StepRejectedError):
    """A row's logits are not numbers, or allow no token."""

    def __init__(self) -> None:
        super().__init__("its logits are not numbers, or allow no token")


class StateLostError(Exception):
    """What the engine held of every sequence is gone; their tokens have to be fed again."""


class Engine(Protocol):
    """Computes for sequences whose state it holds, by whatever way, until they are dropped."""

    @property
    def parallel(self) -> int:
        """How many calls are worth running at once."""

    @property
    def held(self) -> int:
        """Sequences with state."""

    @property
    def prefill_tokens(self) -> int | None:
        """How many prompt tokens hold up decoding rows for no longer than they may be; None: any number."""

    def admit(self, sequence: TokenSequence) -> int:
        """Make a place for a sequence that is about to begin; how many of its tokens lie there already."""

    async def run(self, batch: Batch, stable: bool) -> Sequence[Sampled]:
        """Feed each row its next `count` pending tokens; the tokens sampled after them, row by row.

        A row gets none while tokens are pending after the call. Where `stable` says that nothing waits to
        join the next step, a decoding row may get several. Rows that were dropped meanwhile get any.
        Raises StepRejectedError (nothing has changed), StateLostError, ModelServerUnavailable.
        """

    def audit(self) -> None:
        """Assert that its books are in order; called when nothing runs."""

    def drop(self, sequence: TokenSequence) -> None:
        """Give a sequence's place away, if it has one."""
