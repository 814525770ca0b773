"""The logit edits of one sequence: token ids with their bias and their count in the answer.

Updated as the answer grows, at a constant cost per token. The arithmetic is in `calls/logit_edits.py`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contract.names import UNSEEN
from deployments.decoder.sampling.arrays import Float32, Int32
from deployments.messages import SamplingParams

BANNED = np.float32(-np.inf)
"""The bias of a token that must not be sampled."""


class LogitEditList:
    """The tokens of one sequence whose logits its sampling parameters change."""

    def __init__(
        self, params: SamplingParams, prompt: Sequence[int], eos: frozenset[int], max_tokens: int
    ) -> None:
        """`eos`: the token ids that are banned until the answer has `min_tokens` tokens."""
        self._params = params
        biases = dict(params.logit_bias)
        self._columns: dict[int, int] = {}
        # Only the repetition penalty applies to tokens of the prompt.
        prompt_ids = frozenset(prompt) if params.repetition_penalty != 1 else frozenset()
        for token in (*biases, *(eos if params.min_tokens else ()), *prompt_ids):
            self._columns.setdefault(token, len(self._columns))
        size = len(self._columns) + (max_tokens if params.penalised else 0)
        self._ids = np.zeros(size, np.int32)
        self._counts = np.full(size, UNSEEN, np.int32)
        self._bias = np.zeros(size, np.float32)
        self._ids[: self._used] = list(self._columns)
        self._bias[self._columns_of(biases)] = list(biases.values())
        self._counts[self._columns_of(prompt_ids)] = 0
        self._bans = self._columns_of(eos) if params.min_tokens else self._columns_of(())
        self._answer_length = 0

    def update(self, answer: Sequence[int]) -> int:
        """Counts the new tokens of the answer so far; returns how many logits must be changed now."""
        if self._params.penalised:
            for token in answer[self._answer_length :]:
                self._count(token)
        self._answer_length = len(answer)
        return self._used if self._changes else 0

    def write(self, ids: Int32, counts: Int32, bias: Float32) -> None:
        """Writes the edits to the first elements of the three arrays (edits,)."""
        used = self._used
        ids[:used], counts[:used], bias[:used] = self._ids[:used], self._counts[:used], self._bias[:used]
        if self._banning:
            bias[self._bans] = BANNED

    @property
    def _used(self) -> int:
        return len(self._columns)

    @property
    def _banning(self) -> bool:
        return self._answer_length < self._params.min_tokens

    @property
    def _changes(self) -> bool:
        return bool(self._params.penalised or self._params.logit_bias or self._banning)

    def _count(self, token: int) -> None:
        column = self._columns.setdefault(token, len(self._columns))
        self._ids[column] = token
        self._counts[column] = max(self._counts[column], 0) + 1

    def _columns_of(
        self, tokens: "frozenset[int] | dict[int, float] | tuple[int, ...]"
    ) -> npt.NDArray[np.intp]:
        return np.array([self._columns[token] for token in tokens], np.intp)
