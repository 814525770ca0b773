"""Which logits one sequence's sampling changes, and how often its answer holds each of these tokens.

Follows the text as it grows, at a constant cost for each token. Knows neither batches nor logits.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contract.names import UNSEEN
from deployments.messages import SamplingParams

BANNED = np.float32(-np.inf)


class LogitEditList:
    """Of one sequence; `ends` are the tokens that are banned until the answer has its least length."""

    def __init__(
        self, params: SamplingParams, prompt: Sequence[int], ends: frozenset[int], most: int
    ) -> None:
        self._params = params
        biases = dict(params.logit_bias)
        self._columns: dict[int, int] = {}
        # Only the repetition penalty looks at the prompt.
        text = frozenset(prompt) if params.repetition_penalty != 1 else frozenset()
        listed = (*biases, *(ends if params.min_tokens else ()), *text)
        for token in listed:
            self._columns.setdefault(token, len(self._columns))
        size = len(self._columns) + (most if params.penalised else 0)
        self._ids = np.zeros(size, np.int32)
        self._counts = np.full(size, UNSEEN, np.int32)
        self._bias = np.zeros(size, np.float32)
        self._ids[: self._used] = list(self._columns)
        self._bias[self._of(biases)] = list(biases.values())
        self._counts[self._of(text)] = 0
        self._bans = self._of(ends) if params.min_tokens else self._of(())
        self._seen = 0

    def follow(self, answer: Sequence[int]) -> int:
        """Count what is new in the answer so far; how many tokens are listed now."""
        if self._params.penalised:
            for token in answer[self._seen :]:
                self._count(token)
        self._seen = len(answer)
        return self._used if self._changes else 0

    def fill(
        self, ids: npt.NDArray[np.int32], counts: npt.NDArray[np.int32], bias: npt.NDArray[np.float32]
    ) -> None:
        """Write what is listed to the beginnings of these (any,)."""
        used = self._used
        ids[:used], counts[:used], bias[:used] = self._ids[:used], self._counts[:used], self._bias[:used]
        if self._banning:
            bias[self._bans] = BANNED

    @property
    def _used(self) -> int:
        return len(self._columns)

    @property
    def _banning(self) -> bool:
        return self._seen < self._params.min_tokens

    @property
    def _changes(self) -> bool:
        return bool(self._params.penalised or self._params.logit_bias or self._banning)

    def _count(self, token: int) -> None:
        column = self._columns.setdefault(token, len(self._columns))
        self._ids[column] = token
        self._counts[column] = max(self._counts[column], 0) + 1

    def _of(self, tokens: "frozenset[int] | dict[int, float] | tuple[int, ...]") -> npt.NDArray[np.intp]:
        return np.array([self._columns[token] for token in tokens], np.intp)
