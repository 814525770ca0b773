"""The interface of engines: an engine runs a planned call and returns the new tokens of each row.

Each state layout has its own engine: `explicit/engine.py` and `resident/engine.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from deployments.decoder.scheduler import Batch
from deployments.decoder.sequence import TokenSequence
from deployments.messages import TokenLogprobs


@dataclass(frozen=True, slots=True)
class SampledTokens:
    """The new tokens of one batch row."""

    ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] | None = None
    """One for each of `ids`; None if the request does not ask for log-probabilities."""


NO_TOKENS = SampledTokens()


@dataclass(frozen=True, slots=True)
class DraftCounts:
    """How many tokens a draft model has drafted, and how many of them the served model accepted."""

    drafted: int = 0
    accepted: int = 0


class StepRejectedError(Exception):
    """The model server rejected the call itself: the same call would fail again."""


class NoTokenError(StepRejectedError):
    """No token can be sampled for a row: its logits are NaN, or every token is masked."""

    def __init__(self) -> None:
        super().__init__("the logits of a row are NaN, or every token is masked")


class StateLostError(Exception):
    """The engine has lost the state of all sequences; their tokens must be prefilled again."""


class Engine(Protocol):
    """Holds the state of admitted sequences until they are dropped, and computes their next tokens."""

    @property
    def parallel_calls(self) -> int:
        """How many calls can usefully run at the same time."""

    @property
    def held(self) -> int:
        """Number of sequences whose state is held."""

    @property
    def draft_counts(self) -> DraftCounts:
        """The tokens of its draft model so far; zeros without one."""

    def prefill_tokens(self, prefilling: int, decoding: int) -> int | None:
        """Returns how many prompt tokens the next step may prefill while so many sequences are in each state.

        More would delay the decoding rows too long. 0: the next step is theirs alone; None: no limit.
        """

    def admit(self, sequence: TokenSequence) -> int:
        """Makes a place for a sequence; returns how many of its first tokens are computed there already."""

    async def run(self, batch: Batch, stable: bool) -> Sequence[SampledTokens | None]:
        """Computes the next `count` pending tokens of each row; returns the tokens sampled after them.

        The results are in the order of the rows. A row gets no tokens if it has pending ones left after the
        call, and None if it was not computed, because its sequence joined too late. If `stable`, no sequence
        waits to join the next step, and a decoding row may get several tokens. The
        result of a row whose sequence was dropped during the call has no meaning.
        Raises StepRejectedError (no state has changed), StateLostError, or ModelServerUnavailable.
        """

    def audit(self) -> None:
        """Asserts that the engine's records are consistent; called when no sequence is running."""

    def drop(self, sequence: TokenSequence) -> None:
        """Frees the place of a sequence, if it has one."""
