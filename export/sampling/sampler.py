"""Samples the next token of every row, in the graph, with all sampling parameters of a request.

The logits are edited (penalties, biases, bans), then masked, then divided by the temperature and filtered;
then the token is drawn. A loop carries `SamplingProgress` from token to token. Each part takes time only in
calls in which some row uses it. What ends a row is for the caller to decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from contract import names
from export.sampling.filters import FilterParameters, sample
from export.sampling.logit_edits import EditAmounts, EditedTokens, apply_edits
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
"""The sampling inputs of `prefill` and `decode`."""


class SamplingProgress(NamedTuple):
    """The tokens sampled so far, and the counts for the next penalties: loop variables of constant shapes."""

    tokens: tf.Tensor
    """int32 (rows, steps); NO_TOKEN at steps without a token."""
    edited: EditedTokens
    logprobs: Logprobs


@dataclass(frozen=True)
class Sampler:
    """The sampling inputs of one call, and the sampling itself."""

    parameters: FilterParameters
    uniforms: tf.Tensor  # float64 (rows, steps)
    edited: EditedTokens
    amounts: EditAmounts
    mask: tf.Tensor  # uint8 (rows, bytes)
    top: tf.Tensor  # int32 (): how many of the likeliest tokens get log-probabilities, or NO_LOGPROBS

    @staticmethod
    def from_inputs(inputs: Mapping[str, tf.Tensor]) -> "Sampler":
        """Returns the sampler for a call's inputs: those that INPUTS names; others are ignored."""
        return Sampler(
            FilterParameters(
                *(inputs[name] for name in (names.TEMPERATURE, names.TOP_K, names.TOP_P, names.MIN_P))
            ),
            inputs[names.UNIFORMS],
            EditedTokens(inputs[names.EDIT_IDS], inputs[names.EDIT_COUNTS]),
            EditAmounts(
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
        """Most tokens that a row may get in this call, int32 ()."""
        return tf.shape(self.uniforms)[1]

    def begin(self) -> SamplingProgress:
        """Returns the progress before the first token."""
        rows = tf.shape(self.uniforms)[0]
        no_tokens = tf.fill([rows, self.steps], names.NO_TOKEN)
        return SamplingProgress(no_tokens, self.edited, Logprobs.empty(rows, self.steps, self.top))

    def sample_step(
        self, logits: tf.Tensor, step: tf.Tensor, active: tf.Tensor, progress: SamplingProgress
    ) -> tuple[tf.Tensor, SamplingProgress]:
        """Samples each row's token at `step` from `logits` float32 (rows, vocabulary).

        Returns token ids int32 (rows,) and the progress with them. An id is FAILED where the logits are NaN
        or allow no token, and NO_TOKEN for rows that are not `active` bool (rows,).
        """
        allowed = self._allowed(logits, progress.edited)
        tokens = tf.where(active, sample(allowed, self.parameters, self.uniforms[:, step]), names.NO_TOKEN)
        sampled = tf.where(tf.range(self.steps) == step, tokens[:, None], progress.tokens)
        after = SamplingProgress(sampled, *self._after(logits, step, tokens, progress))
        return tokens, tf.nest.map_structure(_with_shape_of, after, progress)

    def sample_all(self, logits: tf.Tensor, active: tf.Tensor) -> SamplingProgress:
        """Samples a token at every step from `logits` float32 (steps, rows, vocabulary).

        Penalties count the tokens in order, as if each one led to the next logits. `active` bool
        (steps, rows) selects the rows that get a token at a step.
        """

        def body(step: tf.Tensor, progress: SamplingProgress) -> tuple[tf.Tensor, SamplingProgress]:
            return step + 1, self.sample_step(logits[step], step, active[step], progress)[1]

        ended: tuple[tf.Tensor, SamplingProgress]
        ended = tf.while_loop(lambda step, _: step < self.steps, body, (0, self.begin()))
        return ended[1]

    # Most calls use no edits, masks or log-probabilities: then a step evaluates one condition before its
    # tokens are sampled and one after, in place of one for each of these parts.

    def _allowed(self, logits: tf.Tensor, edited: EditedTokens) -> tf.Tensor:
        """Returns the logits with edits and mask."""
        used = (tf.size(self.edited.ids) > 0) | (tf.size(self.mask) > 0)
        return tf.cond(
            used, lambda: masked(apply_edits(logits, edited, self.amounts), self.mask), lambda: logits
        )

    def _after(
        self, logits: tf.Tensor, step: tf.Tensor, tokens: tf.Tensor, progress: SamplingProgress
    ) -> tuple[EditedTokens, Logprobs]:
        """Returns the counts and the log-probabilities after `tokens` were sampled at `step`."""

        def updated() -> tuple[EditedTokens, Logprobs]:
            return progress.edited.counting(tokens), progress.logprobs.with_step(step, logits, tokens)

        used = (tf.size(self.edited.ids) > 0) | (self.top != names.NO_LOGPROBS)
        after: tuple[EditedTokens, Logprobs]
        after = tf.cond(used, updated, lambda: (progress.edited, progress.logprobs))
        return after


def _with_shape_of(after: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
    """Restores the static shape, which `tf.cond` may lose and `tf.while_loop` needs."""
    after.set_shape(before.shape)
    return after


def outputs(progress: SamplingProgress) -> dict[str, tf.Tensor]:
    """Returns the sampling outputs of `prefill` and `decode`, by name."""
    return {
        names.TOKENS: progress.tokens,
        names.LOGPROBS: progress.logprobs.tokens,
        names.TOP_IDS: progress.logprobs.top_ids,
        names.TOP_LOGPROBS: progress.logprobs.top,
    }
