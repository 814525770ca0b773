"""What a call sees of the pool: new keys and values go in, and each query looks at its own slot's positions.

Knows where a call's rows lie in the pool; knows neither weights nor where queries come from.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol, TypeAlias

import tensorflow as tf

from export.signatures.pool import Held, Layout, PoolVariables
from export.transformer_model.attention import (
    MASKED_SCORE,
    AttentionMasks,
    FullBlock,
    KeyValueBlock,
    attend,
    group_heads,
    ungroup_heads,
)
from export.transformer_model.description import Attention


class PartialBlock(NamedTuple):
    """The first rows have it, or none; keys and values are (these, kv_heads, block_size, head_dim)."""

    keys: tf.Tensor
    values: tf.Tensor
    size: tf.Tensor
    """Of these rows, for `tf.slice`: (4,)."""
    others: tf.Tensor
    """The rows after them, for `tf.pad`: (4, 2)."""

    def scores(self, queries: tf.Tensor) -> tf.Tensor:
        some = tf.matmul(self._these(queries), self.keys, transpose_b=True)
        return tf.pad(some, self.others, constant_values=tf.constant(MASKED_SCORE, some.dtype))

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        return tf.pad(tf.matmul(self._these(weights), self.values), self.others)

    def _these(self, rows: tf.Tensor) -> tf.Tensor:
        return _sliced(rows, tf.constant([0, 0, 0, 0]), self.size)


Read: TypeAlias = Callable[[tf.Tensor, int], list[KeyValueBlock]]
"""From a layer's units, the first so many blocks of the call's rows."""


class PoolRows(Protocol):
    """Where the rows of a call lie in the pool."""

    slots: tf.Tensor  # (batch,)

    def counts(self, blocks: int) -> tuple[int, ...]:
        """How many blocks may be read at a time, up to all. Each choice is a part of every layer's graph."""

    def reader(self, held: Held, reached: tf.Tensor) -> Read:
        """Where rows have places in blocks up to `reached` (batch,)."""


class Leading:
    """Slots 0 to `count` - 1, without a copy."""

    def __init__(self, count: tf.Tensor) -> None:
        self.slots = tf.range(count)
        self._count = count

    def counts(self, blocks: int) -> tuple[int, ...]:
        # What is in the choices not taken costs time too: more than a block that no row has.
        return choices(blocks, first=2, growth=4)

    def reader(self, held: Held, reached: tf.Tensor) -> Read:
        # Made once for all layers; and as two tensors, since a choice is handed each one by itself.
        slices, others = [], []
        for block in range(held.slots.shape[0]):
            rows = _last(reached >= block) if block else self._count
            slices += [_leading(first, 0) for first in held.spans(block)] + [_leading(rows, -1)]
            others.append([[0, self._count - rows], [0, 0], [0, 0], [0, 0]])
        slices, others = tf.stack(slices), tf.stack(others)

        def read(units: tf.Tensor, count: int) -> list[KeyValueBlock]:
            corners = tf.unstack(slices)
            each = zip(corners[::3], corners[1::3], corners[2::3], tf.unstack(others), strict=True)
            first, *rest = (
                PartialBlock(_sliced(units, keys, size), _sliced(units, values, size), size, missing)
                for keys, values, size, missing in islice(each, count)
            )
            return [FullBlock(first.keys, first.values), *rest]

        return read


class Gathered:
    """Any slots, copied."""

    def __init__(self, slots: tf.Tensor) -> None:
        self.slots = slots

    def counts(self, blocks: int) -> tuple[int, ...]:
        # Here a block too many is a copy too many.
        return choices(blocks, first=1, growth=1.5)

    def reader(self, held: Held, reached: tf.Tensor) -> Read:  # noqa: ARG002
        units_of = []
        for block in range(held.slots.shape[0]):
            # A row whose slot lacks the block has nothing there that it may look at.
            slots = tf.minimum(self.slots, tf.maximum(held.slots[block] - 1, 0))
            units_of.append([first + slots for first in held.spans(block)])

        def read(units: tf.Tensor, count: int) -> list[KeyValueBlock]:
            return [FullBlock(*(tf.gather(units, rows) for rows in kinds)) for kinds in units_of[:count]]

        return read


class PoolView:
    """What a call with `tokens` (batch, steps) sees of the pool: its rows' slots.

    Row i holds `starts[i]` tokens and gets `lengths[i]` more; what lies beyond these, or beyond the slot, is
    not kept. About as many blocks are read as the longest row fills.
    """

    def __init__(
        self,
        pool: PoolVariables,
        held: Held,
        rows: PoolRows,
        starts: tf.Tensor,  # (batch,)
        lengths: tf.Tensor,  # (batch,)
        steps: tf.Tensor,  # ()
    ) -> None:
        self._pool = pool
        self._held = held
        self._rows = rows
        places = starts[:, None] + tf.range(steps)  # (batch, steps)
        blocks = tf.minimum(places // self.layout.block_size, self.layout.blocks - 1)
        inside = (tf.range(steps) < lengths[:, None]) & (places < self.layout.positions)
        kept = inside & held.has(blocks, rows.slots[:, None])
        self._targets = self._pool_rows(blocks, places, kept)
        self._masks = AttentionMasks(places, tf.range(self.layout.positions))
        reached = tf.reduce_max(tf.where(kept, blocks, 0), axis=1)
        self._read = rows.reader(held, reached)
        self._counts = rows.counts(self.layout.blocks)
        self._branch = tf.searchsorted(self._counts, tf.reduce_max(reached)[None] + 1)[0]

    @property
    def layout(self) -> Layout:
        return self._pool.layout

    def attend(self, layer: int, attention: Attention, queries: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """(batch, heads, steps, head_dim) for `queries` of that shape, already scaled.

        `entries` (batch * steps, KINDS * kv_heads, head_dim): the keys and values of the same tokens.
        """
        flat = tf.reshape(entries, [-1, self.layout.head_dim])
        units = self._pool.write(layer, self._targets, flat)
        mask, grouped = self._masks.mask_for(attention), group_heads(queries, attention)

        def over(count: int) -> tf.Tensor:
            """The first `count` blocks."""
            seen = mask[..., : count * self.layout.block_size]
            return attend(grouped, self._read(units, count), seen, attention.soft_cap)

        branches = [partial(over, count) for count in self._counts]
        attended = tf.switch_case(self._branch, branches) if len(branches) > 1 else branches[0]()
        return ungroup_heads(attended, queries)

    def _pool_rows(self, blocks: tf.Tensor, places: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """Where the entries go, (batch * steps * KINDS * kv_heads,)."""
        size, heads = self.layout.block_size, tf.range(self.layout.kv_heads)
        unit = self._held.unit(blocks, self._rows.slots[:, None])  # (batch, steps, KINDS)
        row = unit[..., None] * self.layout.unit_rows + heads * size + (places % size)[..., None, None]
        scratch = self._held.scratch * self.layout.unit_rows
        return tf.reshape(tf.where(kept[..., None, None], row, scratch), [-1])


def choices(blocks: int, first: int, growth: float) -> tuple[int, ...]:
    """Numbers from `first` to `blocks`, each at most `growth` times the one before it, or one more."""
    chosen = [min(first, blocks)]
    while chosen[-1] < blocks:
        chosen.append(min(blocks, max(chosen[-1] + 1, int(growth * chosen[-1]))))
    return tuple(chosen)


def _last(chosen: tf.Tensor) -> tf.Tensor:
    """How many of the first entries reach the last that is true, ()."""
    return tf.reduce_max(tf.where(chosen, tf.range(tf.size(chosen)) + 1, 0))


def _leading(number: tf.Tensor, rest: int) -> tf.Tensor:
    """(4,): `number` for the first axis, `rest` for the others."""
    return tf.stack([number, rest, rest, rest])


def _sliced(values: tf.Tensor, begin: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Of the first axis."""
    part = tf.slice(values, begin, size)
    part.set_shape([None, *values.shape[1:]])
    return part
