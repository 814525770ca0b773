"""The explicit layout of a described Transformer: calls receive past keys and values and return new ones."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from contract.manifest import StateTensor
from export.signatures.servable import NamedTensors, StepFunction
from export.transformer_model.attention import AttentionMasks, FullBlock, attend, group_heads, ungroup_heads
from export.transformer_model.description import Attention, Transformer
from export.transformer_model.forward import ForwardPass
from export.transformer_model.pieces import Pieces


def state(model: Transformer, dtype: str) -> tuple[StateTensor, ...]:
    """Returns the state tensors: the number of tokens so far, and keys and values with time first."""
    shape = (0, len(model.layers), model.kv_heads, model.head_dim)
    return (
        StateTensor("position", "int32", ()),
        StateTensor("past_keys", dtype, shape, growth_axis=0),
        StateTensor("past_values", dtype, shape, growth_axis=0),
    )


def step(model: Transformer, weights: Mapping[str, Any]) -> StepFunction:
    """Returns the function behind `step`, over `weights` by their names."""

    def run(
        tokens: tf.Tensor,  # (batch, steps)
        lengths: tf.Tensor,  # (batch,)
        position: tf.Tensor,  # (batch,)
        past_keys: tf.Tensor,  # (batch, past, layers, kv_heads, head_dim)
        past_values: tf.Tensor,
    ) -> NamedTensors:
        pieces = Pieces.of(tokens, lengths)
        view = PastView(position, pieces, tf.shape(tokens)[1], past_keys, past_values)
        forward = ForwardPass(model, weights)
        logits = forward.logits(pieces.flat(tokens), pieces.positions(position), pieces.ends - 1, view)
        keys, values = view.entries()
        return {
            "logits": logits,
            "position": position + lengths,
            "past_keys": keys,
            "past_values": values,
        }

    return run


class PastView:
    """An `AttentionView` over the past that a call receives, and the call's own entries, layer by layer."""

    def __init__(
        self,
        position: tf.Tensor,  # (batch,)
        pieces: Pieces,
        steps: tf.Tensor,  # ()
        past_keys: tf.Tensor,  # (batch, past, layers, kv_heads, head_dim)
        past_values: tf.Tensor,
    ) -> None:
        self._pieces = pieces
        self._old = [_by_layer(past_keys), _by_layer(past_values)]
        self._new: list[list[tf.Tensor]] = [[], []]
        queries = position[:, None] + tf.range(steps)
        past = _past_positions(position, tf.shape(past_keys)[1])
        self._masks = AttentionMasks(queries, tf.concat([past, queries], axis=1))

    def attend(self, layer: int, attention: Attention, queries: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """Keeps `entries`, then attends, as `AttentionView.attend`."""
        own = tf.split(self._pieces.heads_first(entries), 2, axis=1)
        for new, each in zip(self._new, own, strict=True):
            new.append(each)
        keys, values = (tf.concat([old[layer], each], 2) for old, each in zip(self._old, own, strict=True))
        mask = self._masks.mask_for(attention)
        padded = self._pieces.heads_first(queries)
        attended = attend(group_heads(padded, attention), [FullBlock(keys, values)], mask, attention.soft_cap)
        return self._pieces.tokens_first(ungroup_heads(attended, padded))

    def entries(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the call's own keys and values, each (batch, steps, layers, kv_heads, head_dim)."""
        keys, values = (tf.transpose(tf.stack(new), [1, 3, 0, 2, 4]) for new in self._new)
        return keys, values


def _past_positions(position: tf.Tensor, past: tf.Tensor) -> tf.Tensor:
    """Returns the positions of past entries, (batch, past); padding gets one that no query attends to."""
    positions = tf.range(past)[None]
    return tf.where(positions < position[:, None], positions, tf.int32.max)


def _by_layer(past: tf.Tensor) -> list[tf.Tensor]:
    """Splits (batch, past, layers, kv_heads, head_dim) into (batch, kv_heads, past, head_dim) per layer."""
    layers: list[tf.Tensor] = tf.unstack(tf.transpose(past, [2, 0, 3, 1, 4]), num=past.shape[2])
    return layers
