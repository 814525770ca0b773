"""A call's view of the pool: writes new keys and values, and attends to the positions of each row's slot.

An `AttentionView` over the pool, for calls on the first slots (`decode`) or on any slots (`prefill`).
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol, TypeAlias

import tensorflow as tf

from export.signatures.pool import ClaimedPool, PoolLayout, PoolVariables
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
from export.transformer_model.entries import Entries, each_part, key_scores, weighted_sum, weights_dtype


class PartialBlock(NamedTuple):
    """A block that only the first rows have, or no row.

    Keys and values are (rows that have it, kv_heads, block_size, head_dim).
    """

    keys: Entries
    values: Entries
    size: tf.Tensor
    """The size of a slice of these rows, for `tf.slice`: (4,)."""
    missing: tf.Tensor
    """The rows after them, as paddings for `tf.pad`: (4, 2)."""

    @property
    def weights_dtype(self) -> tf.DType:
        """The dtype of weights, as `KeyValueBlock.weights_dtype`."""
        return weights_dtype(self.values)

    def scores(self, queries: tf.Tensor) -> tf.Tensor:
        """Returns the scores, as `KeyValueBlock.scores`; MASKED_SCORE for rows without the block."""
        scores = key_scores(self._first(queries), self.keys)
        return tf.pad(scores, self.missing, constant_values=tf.constant(MASKED_SCORE, scores.dtype))

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """Returns the weighted values, as `KeyValueBlock.weighted_sum`; 0 for rows without the block."""
        return tf.pad(weighted_sum(self._first(weights), self.values), self.missing)

    def _first(self, rows: tf.Tensor) -> tf.Tensor:
        return _sliced(rows, tf.constant([0, 0, 0, 0]), self.size)


BlockReader: TypeAlias = Callable[[Entries, int], list[KeyValueBlock]]
"""(units of a layer, count) -> the first `count` blocks of the call's rows."""


class CallSlots(Protocol):
    """The slots of a call's rows, and how their blocks are read."""

    slots: tf.Tensor  # (batch,)

    def block_counts(self, blocks: int) -> tuple[int, ...]:
        """Returns the numbers of blocks that a call can read, ending with `blocks`.

        A call reads the smallest that suffices. Each number adds a branch to every layer's graph.
        """

    def reader(self, claimed: ClaimedPool, reached: tf.Tensor) -> BlockReader:
        """Returns the reader for rows whose last block is `reached` int32 (batch,)."""


class LeadingSlots:
    """Slots 0 to `count` - 1, read as slices without a copy."""

    def __init__(self, count: tf.Tensor) -> None:
        self.slots = tf.range(count)
        self._count = count

    def block_counts(self, blocks: int) -> tuple[int, ...]:
        """Returns the choices, as `CallSlots.block_counts`: few of them."""
        # Operations of a branch that is not taken cost time too: more than reading a block that no row has.
        return growing_counts(blocks, first=2, growth=4)

    def reader(self, claimed: ClaimedPool, reached: tf.Tensor) -> BlockReader:
        """Returns the reader, as `CallSlots.reader`."""
        # Computed once for all layers. Stacked into two tensors, since each input of a branch costs time.
        slices, missing = [], []
        for block in range(claimed.slots.shape[0]):
            rows = _count_to_last(reached >= block) if block else self._count
            slices += [_leading(first, 0) for first in claimed.first_units(block)] + [_leading(rows, -1)]
            missing.append([[0, self._count - rows], [0, 0], [0, 0], [0, 0]])
        slices, missing = tf.stack(slices), tf.stack(missing)

        def read(units: Entries, count: int) -> list[KeyValueBlock]:
            corners = tf.unstack(slices)
            each = zip(corners[::3], corners[1::3], corners[2::3], tf.unstack(missing), strict=True)
            first, *rest = (
                PartialBlock(_slices(units, keys, size), _slices(units, values, size), size, absent)
                for keys, values, size, absent in islice(each, count)
            )
            return [FullBlock(first.keys, first.values), *rest]

        return read


class GatheredSlots:
    """Any slots, read as copies."""

    def __init__(self, slots: tf.Tensor) -> None:
        self.slots = slots

    def block_counts(self, blocks: int) -> tuple[int, ...]:
        """Returns the choices, as `CallSlots.block_counts`: many of them."""
        # Each block that is read beyond those needed is copied.
        return growing_counts(blocks, first=1, growth=1.5)

    def reader(self, claimed: ClaimedPool, reached: tf.Tensor) -> BlockReader:  # noqa: ARG002
        """Returns the reader, as `CallSlots.reader`."""
        units_of = []
        for block in range(claimed.slots.shape[0]):
            # A row whose slot lacks the block reads that of another slot: it has no tokens there.
            slots = tf.minimum(self.slots, tf.maximum(claimed.slots[block] - 1, 0))
            units_of.append([first + slots for first in claimed.first_units(block)])

        def read(units: Entries, count: int) -> list[KeyValueBlock]:
            return [FullBlock(*(_gathered(units, rows) for rows in kinds)) for kinds in units_of[:count]]

        return read


class PoolView:
    """The view of a call with `tokens` (batch, steps) on the slots of its rows.

    Row i's slot holds `starts[i]` tokens before the call and `lengths[i]` more after it. Keys and values of
    padding, and those beyond the slot's blocks, are not kept. The call reads about as many blocks as the
    longest row fills.
    """

    def __init__(
        self,
        pool: PoolVariables,
        claimed: ClaimedPool,
        rows: CallSlots,
        starts: tf.Tensor,  # (batch,)
        lengths: tf.Tensor,  # (batch,)
        steps: tf.Tensor,  # ()
    ) -> None:
        self._pool = pool
        self._claimed = claimed
        self._rows = rows
        positions = starts[:, None] + tf.range(steps)  # (batch, steps)
        blocks = tf.minimum(positions // self.layout.block_size, self.layout.blocks - 1)
        valid = (tf.range(steps) < lengths[:, None]) & (positions < self.layout.positions)
        kept = valid & claimed.has_block(blocks, rows.slots[:, None])
        self._targets = self._pool_rows(blocks, positions, kept)
        self._masks = AttentionMasks(positions, tf.range(self.layout.positions))
        reached = tf.reduce_max(tf.where(kept, blocks, 0), axis=1)
        self._read = rows.reader(claimed, reached)
        self._counts = rows.block_counts(self.layout.blocks)
        self._branch = tf.searchsorted(self._counts, tf.reduce_max(reached)[None] + 1)[0]

    @property
    def layout(self) -> PoolLayout:
        """The layout of the pool."""
        return self._pool.layout

    def attend(self, layer: int, attention: Attention, queries: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """Writes `entries` to the pool, then attends, as `AttentionView.attend`."""
        flat = tf.reshape(entries, [-1, self.layout.head_dim])
        units = self._pool.write(layer, self._targets, flat)
        mask, grouped = self._masks.mask_for(attention), group_heads(queries, attention)

        def attend_to(count: int) -> tf.Tensor:
            """Attends to the first `count` blocks."""
            count_mask = mask[..., : count * self.layout.block_size]
            return attend(grouped, self._read(units, count), count_mask, attention.soft_cap)

        branches = [partial(attend_to, count) for count in self._counts]
        attended = tf.switch_case(self._branch, branches) if len(branches) > 1 else branches[0]()
        return ungroup_heads(attended, queries)

    def _pool_rows(self, blocks: tf.Tensor, positions: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """Returns the rows of the pool that the entries go to, (batch * steps * KINDS * kv_heads,)."""
        size, heads = self.layout.block_size, tf.range(self.layout.kv_heads)
        unit = self._claimed.units(blocks, self._rows.slots[:, None])  # (batch, steps, KINDS)
        row = unit[..., None] * self.layout.unit_rows + heads * size + (positions % size)[..., None, None]
        scratch = self._claimed.scratch * self.layout.unit_rows
        return tf.reshape(tf.where(kept[..., None, None], row, scratch), [-1])


def growing_counts(blocks: int, first: int, growth: float) -> tuple[int, ...]:
    """Returns numbers from `first` to `blocks`, each up to `growth` times the one before it, or one more."""
    counts = [min(first, blocks)]
    while counts[-1] < blocks:
        counts.append(min(blocks, max(counts[-1] + 1, int(growth * counts[-1]))))
    return tuple(counts)


def _count_to_last(flags: tf.Tensor) -> tf.Tensor:
    """Returns how many entries there are up to the last true one, int32 ()."""
    return tf.reduce_max(tf.where(flags, tf.range(tf.size(flags)) + 1, 0))


def _leading(number: tf.Tensor, rest: int) -> tf.Tensor:
    """Returns `number` for the first axis and `rest` for the other three, (4,)."""
    return tf.stack([number, rest, rest, rest])


def _sliced(values: tf.Tensor, begin: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns a slice along the first axis; the static shape keeps the other axes."""
    part = tf.slice(values, begin, size)
    part.set_shape([None, *values.shape[1:]])
    return part


def _slices(units: Entries, begin: tf.Tensor, size: tf.Tensor) -> Entries:
    return each_part(units, lambda part: _sliced(part, begin, size))


def _gathered(units: Entries, rows: tf.Tensor) -> Entries:
    return each_part(units, lambda part: tf.gather(part, rows))
