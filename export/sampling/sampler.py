"""The next token of every row, in the graph, with all that a request may ask of it.

From the logits: edits (penalties, biases, bans), then the host's mask, then temperature and filters, then the
draw. A loop carries `Progress` from token to token. Each part costs only where some row asks for it. Knows
neither models nor what ends a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from contract import names
from export.sampling.filters import Parameters, sample
from export.sampling.logit_edits import Listed, Weights, edited
from export.sampling.logprobs import Logprobs
from export.sampling.token_mask import masked

INPUTS = {
    name: tf.TensorSpec([None] * rank, dtype, name)
    for name, dtype, rank in (
        (names.TEMPERATURE, tf.float32, 1),
        (names.TOP_K, tf.int32, 1),
        (names.TOP_P, tf.float32, 1),
        (names.MIN_P, tf.float32, 1),
        (names.UNIFORMS, tf.float64, 2),
        (names.EDIT_IDS, tf.int32, 2),
        (names.EDIT_COUNTS, tf.int32, 2),
        (names.EDIT_BIAS, tf.float32, 2),
        (names.PRESENCE, tf.float32, 1),
        (names.FREQUENCY, tf.float32, 1),
        (names.REPETITION, tf.float32, 1),
        (names.MASK, tf.uint8, 2),
        (names.LOGPROBS, tf.int32, 0),
    )
}
"""What a signature that samples takes, beside what its model needs."""


class Progress(NamedTuple):
    """What the rows got so far, and what the next tokens depend on: loop variables, of constant shapes."""

    tokens: tf.Tensor
    """int32 (rows, steps), NO_TOKEN where there is none (yet)."""
    listed: Listed
    logprobs: Logprobs


@dataclass(frozen=True)
class Sampler:
    """What the rows of one call ask for."""

    parameters: Parameters
    uniforms: tf.Tensor  # (rows, steps)
    listed: Listed
    weights: Weights
    mask: tf.Tensor
    top: tf.Tensor

    @staticmethod
    def of(inputs: Mapping[str, tf.Tensor]) -> "Sampler":
        """From the tensors that INPUTS names."""
        return Sampler(
            Parameters(
                *(inputs[name] for name in (names.TEMPERATURE, names.TOP_K, names.TOP_P, names.MIN_P))
            ),
            inputs[names.UNIFORMS],
            Listed(inputs[names.EDIT_IDS], inputs[names.EDIT_COUNTS]),
            Weights(
                inputs[names.EDIT_BIAS],
                inputs[names.PRESENCE],
                inputs[names.FREQUENCY],
                inputs[names.REPETITION],
            ),
            inputs[names.MASK],
            inputs[names.LOGPROBS],
        )

    @property
    def steps(self) -> tf.Tensor:
        """How many tokens a row may get in this call."""
        return tf.shape(self.uniforms)[1]

    def begin(self) -> Progress:
        """Before the first token."""
        rows = tf.shape(self.uniforms)[0]
        nothing = tf.fill([rows, self.steps], names.NO_TOKEN)
        return Progress(nothing, self.listed, Logprobs.empty(rows, self.steps, self.top))

    def next(
        self, logits: tf.Tensor, step: tf.Tensor, inside: tf.Tensor, progress: Progress
    ) -> tuple[tf.Tensor, Progress]:
        """int32 (rows,) from `logits` (rows, vocabulary): the token of each row at `step`, or FAILED.

        NO_TOKEN for rows that are not `inside` (rows,).
        """
        allowed = self._allowed(logits, progress.listed)
        tokens = tf.where(inside, sample(allowed, self.parameters, self.uniforms[:, step]), names.NO_TOKEN)
        given = tf.where(tf.range(self.steps) == step, tokens[:, None], progress.tokens)
        after = Progress(given, *self._after(logits, step, tokens, progress))
        return tokens, tf.nest.map_structure(_shaped, after, progress)

    def along(self, logits: tf.Tensor, inside: tf.Tensor) -> Progress:
        """A token at every step, as if each led to the next, from `logits` (steps, rows, vocabulary).

        `inside` (steps, rows): which rows get one at a step.
        """

        def body(step: tf.Tensor, progress: Progress) -> tuple[tf.Tensor, Progress]:
            return step + 1, self.next(logits[step], step, inside[step], progress)[1]

        ended: tuple[tf.Tensor, Progress]
        ended = tf.while_loop(lambda step, _: step < self.steps, body, (0, self.begin()))
        return ended[1]

    # Most calls ask for nothing: then a step passes by one condition before its tokens, and by one after.

    def _allowed(self, logits: tf.Tensor, listed: Listed) -> tf.Tensor:
        asked = (tf.size(self.listed.ids) > 0) | (tf.size(self.mask) > 0)
        return tf.cond(asked, lambda: masked(edited(logits, listed, self.weights), self.mask), lambda: logits)

    def _after(
        self, logits: tf.Tensor, step: tf.Tensor, tokens: tf.Tensor, progress: Progress
    ) -> tuple[Listed, Logprobs]:
        def followed() -> tuple[Listed, Logprobs]:
            return progress.listed.seen(tokens), progress.logprobs.at(step, logits, tokens)

        asked = (tf.size(self.listed.ids) > 0) | (self.top != names.NO_LOGPROBS)
        after: tuple[Listed, Logprobs]
        after = tf.cond(asked, followed, lambda: (progress.listed, progress.logprobs))
        return after


def _shaped(after: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
    """A condition may know less of its result's shape than a loop asks for."""
    after.set_shape(before.shape)
    return after


def outputs(progress: Progress) -> dict[str, tf.Tensor]:
    """What a signature that samples answers."""
    return {
        names.TOKENS: progress.tokens,
        names.LOGPROBS: progress.logprobs.tokens,
        names.TOP_IDS: progress.logprobs.top_ids,
        names.TOP_LOGPROBS: progress.logprobs.top,
    }
