"""The training loop of both demo models: AdamW with a warm-up and a cosine schedule.

A model is passed in as a list of variables and a loss over rows of token ids.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from contract.tensors import Ids
from export.demo.tokenization import NOTHING

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A part of the training: so many steps on documents of up to so many turns, one document per row."""

    steps: int
    turns: int
    length: int
    """The number of tokens in a row."""
    batch: int


@dataclass(frozen=True)
class Schedule:
    """The stages of a training, and its learning rates."""

    stages: tuple[Stage, ...]
    peak: float
    warmup: int = 100
    floor: float = 0.05
    """The last learning rate, as a fraction of the peak."""

    @property
    def steps(self) -> int:
        """The number of steps in all stages."""
        return sum(stage.steps for stage in self.stages)

    def rate(self, step: int) -> float:
        """Returns the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress)))


class AdamW:
    """Adam with decoupled weight decay of matrices, and with gradients clipped by their global norm."""

    def __init__(self, variables: list[tf.Variable], decay: float = 0.05, clip: float = 1.0) -> None:
        self._variables = variables
        self._first = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self._second = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self._decay = decay
        self._clip = clip

    def apply(self, gradients: list[tf.Tensor], rate: tf.Tensor, step: tf.Tensor) -> None:
        """Updates the variables; `step` counts from 1."""
        dense = [tf.convert_to_tensor(g) for g in gradients]
        clipped, _ = tf.clip_by_global_norm(dense, self._clip)
        for variable_and_moments in zip(self._variables, clipped, self._first, self._second, strict=True):
            self._update(*variable_and_moments, rate, step)

    def _update(
        self,
        variable: tf.Variable,
        gradient: tf.Tensor,
        first: tf.Variable,
        second: tf.Variable,
        rate: tf.Tensor,
        step: tf.Tensor,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        first.assign(betas[0] * first + (1 - betas[0]) * gradient)
        second.assign(betas[1] * second + (1 - betas[1]) * tf.square(gradient))
        mean = first / (1 - betas[0] ** step)
        spread = tf.sqrt(second / (1 - betas[1] ** step)) + 1e-8
        decay = self._decay if len(variable.shape) > 1 else 0.0
        variable.assign_sub(rate * (mean / spread + decay * variable))


def train(
    variables: list[tf.Variable],
    loss_of: Callable[[tf.Tensor], tf.Tensor],
    batches: Iterable[Ids],
    schedule: Schedule,
    keep: Callable[[int], None],
    keep_every: int = 250,
) -> float:
    """Minimises `loss_of(rows)` over `batches` (batch, length); returns the mean loss of the last 50 steps.

    Calls `keep` with the number of steps done, every `keep_every` steps and at the end.
    """
    optimizer = AdamW(variables)

    def update(rows: tf.Tensor, rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(rows)
        optimizer.apply(tape.gradient(loss, variables), rate, step)
        return loss

    compiled = tf.function(update, autograph=False)
    losses: list[float] = []
    began = time.monotonic()
    for step, rows in enumerate(batches):
        rate = tf.constant(schedule.rate(step), tf.float32)
        losses.append(float(compiled(tf.constant(rows), rate, tf.constant(step + 1.0))))
        if (step + 1) % 25 == 0:
            _report(step + 1, schedule.steps, losses, time.monotonic() - began)
        if (step + 1) % keep_every == 0:
            keep(step + 1)
    keep(schedule.steps)
    return float(np.mean(losses[-50:]))


def cross_entropy(rows: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Computes the mean in nats per token; `logits` (batch, length - 1, vocabulary) are of `inputs(rows)`."""
    targets = rows[:, 1:]
    real = tf.cast(targets != NOTHING, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(targets, 0), logits)
    return tf.reduce_sum(losses * real) / tf.reduce_sum(real)


def inputs(rows: tf.Tensor) -> tf.Tensor:
    """Returns the model's inputs (batch, length - 1): all tokens but the last, with 0 for filling."""
    return tf.maximum(rows[:, :-1], 0)


def _report(step: int, steps: int, losses: list[float], seconds: float) -> None:
    mean = float(np.mean(losses[-25:]))
    logger.info("step %d of %d: loss %.3f, %.0f s", step, steps, mean, seconds)
