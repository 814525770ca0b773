"""A call's view of the pool: writes new keys and values, and attends to the positions of each row's slot.

Tokens of a call form groups: one token in each of the first slots (a decode step), or pieces in any slots.
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
    joined,
    ungroup_heads,
)
from export.transformer_model.description import Attention
from export.transformer_model.entries import Entries, each_part, key_scores, weighted_sum, weights_dtype
from export.transformer_model.pieces import Pieces


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


class SlotTokens:
    """Tokens of a call whose slots are read alike. Row i's slot holds `starts[i]` tokens before the call.

    Keys and values beyond the slot's blocks are not kept. As many blocks are read, about, as the longest row
    fills.
    """

    def __init__(
        self,
        layout: PoolLayout,
        claimed: ClaimedPool,
        rows: CallSlots,
        starts: tf.Tensor,  # (batch,)
        pieces: Pieces,
        active: tf.Tensor | None = None,  # (batch,)
    ) -> None:
        """Rows that are not `active` keep nothing, and what they attend to has no meaning; None: all are."""
        positions = pieces.positions(starts)
        slots = tf.gather(rows.slots, pieces.row)
        blocks = tf.minimum(positions // layout.block_size, layout.blocks - 1)
        kept = (positions < layout.positions) & claimed.has_block(blocks, slots)
        if active is not None:
            kept &= active
        self.positions = positions
        self.targets = _pool_rows(layout, claimed.units(blocks, slots), positions, kept, claimed.scratch)
        """The rows of the pool that the entries go to, (tokens, KINDS, kv_heads)."""
        self._layout = layout
        self.pieces = pieces
        padded = starts[:, None] if pieces.grid is None else tf.gather(positions, pieces.grid)
        self._masks = AttentionMasks(padded, tf.range(layout.positions))
        reached = tf.where(kept, blocks, 0)
        if pieces.grid is not None:
            reached = tf.math.segment_max(reached, pieces.row)
        self._read = rows.reader(claimed, reached)
        self._counts = rows.block_counts(layout.blocks)
        # 0 beside the largest, which is INT_MIN if there are no rows.
        most = tf.maximum(tf.reduce_max(reached), 0)
        self._branch = tf.searchsorted(self._counts, most[None] + 1)[0]

    def attend(self, attention: Attention, queries: tf.Tensor, units: Entries) -> tf.Tensor:
        """Returns the attention output (tokens, heads * head_dim) of `queries` (tokens, heads, head_dim).

        `units` are those of the layer, with the entries of this call.
        """
        padded = self.pieces.heads_first(queries)
        mask, grouped = self._masks.mask_for(attention), group_heads(padded, attention)

        def attend_to(count: int) -> tf.Tensor:
            """Attends to the first `count` blocks."""
            count_mask = mask[..., : count * self._layout.block_size]
            return attend(grouped, self._read(units, count), count_mask, attention.soft_cap)

        branches = [partial(attend_to, count) for count in self._counts]
        attended = tf.switch_case(self._branch, branches) if len(branches) > 1 else branches[0]()
        return self.pieces.tokens_first(ungroup_heads(attended, padded))


def leading_tokens(
    pool: PoolVariables, claimed: ClaimedPool, held: tf.Tensor, active: tf.Tensor
) -> SlotTokens:
    """Returns one token for each of the first slots, which hold `held` int32 (rows,) tokens before the call.

    Only rows that are `active` bool (rows,) count.
    """
    rows = LeadingSlots(tf.size(held))
    return SlotTokens(pool.layout, claimed, rows, held, Pieces.single(rows.slots), active)


class PoolView:
    """The view of a call on its slots: an `AttentionView` over the pool, for one or more groups of tokens."""

    def __init__(self, pool: PoolVariables, *groups: SlotTokens) -> None:
        """The call's tokens are those of the first group, then those of the next."""
        self._pool = pool
        self.groups = groups
        self._targets = tf.reshape(joined([group.targets for group in groups], 0), [-1])
        self._sizes = [tf.shape(group.positions)[0] for group in groups]

    @property
    def positions(self) -> tf.Tensor:
        """The position of each token, (tokens,)."""
        return joined([group.positions for group in self.groups], 0)

    def attend(self, layer: int, attention: Attention, queries: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """Writes `entries` to the pool, then attends, as `AttentionView.attend`."""
        flat = tf.reshape(entries, [-1, entries.shape[-1]])
        units = self._pool.write(layer, self._targets, flat)
        if len(self.groups) == 1:
            return self.groups[0].attend(attention, queries, units)
        parts = tf.split(queries, self._sizes)
        for part in parts:
            part.set_shape([None, *queries.shape[1:]])
        return tf.concat(
            [group.attend(attention, part, units) for group, part in zip(self.groups, parts, strict=True)],
            axis=0,
        )


def _pool_rows(
    layout: PoolLayout, units: tf.Tensor, positions: tf.Tensor, kept: tf.Tensor, scratch: tf.Tensor
) -> tf.Tensor:
    """Returns the rows of the pool for each token's entries, (tokens, KINDS, kv_heads).

    `units` (tokens, KINDS) are those of the tokens' blocks. Entries that are not `kept` bool (tokens,) go to
    the unit `scratch`.
    """
    size, heads = layout.block_size, tf.range(layout.kv_heads)
    row = units[..., None] * layout.unit_rows + heads * size + (positions % size)[:, None, None]
    return tf.where(kept[:, None, None], row, scratch * layout.unit_rows)


def growing_counts(blocks: int, first: int, growth: float) -> tuple[int, ...]:
    """Returns numbers from `first` to `blocks`, each up to `growth` times the one before it, or one more."""
    counts = [min(first, blocks)]
    while counts[-1] < blocks:
        counts.append(min(blocks, max(counts[-1] + 1, int(growth * counts[-1]))))
    return tuple(counts)


def _count_to_last(flags: tf.Tensor) -> tf.Tensor:
    """Returns how many entries there are up to the last true one, int32 ()."""
    return tf.reduce_max(tf.concat([[0], tf.where(flags, tf.range(tf.size(flags)) + 1, 0)], axis=0))


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
