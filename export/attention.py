"""Attention over the pool: new keys and values go in, and each query looks at its own slot's positions.

Knows where a call's rows lie in the pool; knows neither weights nor where queries come from.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

import tensorflow as tf

from export.pool import Held, Layout, Pool

LOW = -1e9
"""The score of a position that a token may not look at."""


class Block(NamedTuple):
    """One block of the call's first rows."""

    keys: tf.Tensor
    """(rows, heads, block_size, head_dim)."""
    values: tf.Tensor
    whole: bool
    """Whether these are all rows of the call; the others have nothing in this block."""


Pick: TypeAlias = Callable[[tf.Tensor], Block]
"""From a layer's units, one block of the call's rows."""


class Rows(Protocol):
    """Where the rows of a call lie in the pool."""

    slots: tf.Tensor  # (batch,)

    def pick(self, block: int, held: Held, reached: tf.Tensor) -> Pick:
        """For `block`, where rows have places in blocks up to `reached` (batch,)."""


class Leading:
    """Slots 0 to `count` - 1, without a copy."""

    def __init__(self, count: tf.Tensor) -> None:
        self.slots = tf.range(count)
        self._count = count

    def pick(self, block: int, held: Held, reached: tf.Tensor) -> Pick:
        whole = block == 0
        count = self._count if whole else _last(reached >= block)
        keys, values = held.spans(block)
        return lambda units: Block(units[keys : keys + count], units[values : values + count], whole)


class Gathered:
    """Any slots, copied."""

    def __init__(self, slots: tf.Tensor) -> None:
        self.slots = slots

    def pick(self, block: int, held: Held, reached: tf.Tensor) -> Pick:  # noqa: ARG002
        # A row whose slot lacks the block has nothing there that it may look at.
        slots = tf.minimum(self.slots, tf.maximum(held.slots[block] - 1, 0))
        keys, values = (first + slots for first in held.spans(block))
        return lambda units: Block(tf.gather(units, keys), tf.gather(units, values), whole=True)


class View:
    """What a call with `tokens` (batch, steps) sees of the pool: its rows' slots.

    Row i holds `starts[i]` tokens and gets `lengths[i]` more; what lies beyond these, or beyond the slot, is
    not kept. About as many blocks are read as the longest row fills.
    """

    def __init__(
        self,
        pool: Pool,
        held: Held,
        rows: Rows,
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
        self._mask = _mask(places, self.layout.positions)
        self._reached = tf.reduce_max(tf.where(kept, blocks, 0), axis=1)
        self._picks = [rows.pick(block, held, self._reached) for block in range(self.layout.blocks)]
        self._counts = counts(self.layout.blocks)
        self._branch = tf.searchsorted(self._counts, tf.reduce_max(self._reached)[None] + 1)[0]

    @property
    def layout(self) -> Layout:
        return self._pool.layout

    def attend(self, layer: int, queries: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """(batch, heads, steps, head_dim) for `queries` of that shape, already scaled.

        `entries` (batch * steps, KINDS, heads, head_dim): the keys and values of the same tokens.
        """
        flat = tf.reshape(entries, [-1, self.layout.head_dim])
        units = self._pool.write(layer, self._targets, flat)
        branches = [partial(self._attend, count, units, queries) for count in self._counts]
        return tf.switch_case(self._branch, branches) if len(branches) > 1 else branches[0]()

    def _attend(self, count: int, units: tf.Tensor, queries: tf.Tensor) -> tf.Tensor:
        """Over the first `count` blocks."""
        blocks = [pick(units) for pick in self._picks[:count]]
        return attend(queries, blocks, self._mask[..., : count * self.layout.block_size])

    def _pool_rows(self, blocks: tf.Tensor, places: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """Where the entries go, (batch * steps * KINDS * heads,)."""
        size, heads = self.layout.block_size, tf.range(self.layout.heads)
        unit = self._held.unit(blocks, self._rows.slots[:, None])  # (batch, steps, KINDS)
        row = unit[..., None] * self.layout.unit_rows + heads * size + (places % size)[..., None, None]
        scratch = self._held.scratch * self.layout.unit_rows
        return tf.reshape(tf.where(kept[..., None, None], row, scratch), [-1])


def counts(blocks: int) -> tuple[int, ...]:
    """How many blocks may be read at a time. Each choice is a part of the graph, so they thin out."""
    chosen = [1]
    while chosen[-1] < blocks:
        chosen.append(min(blocks, chosen[-1] + max(1, chosen[-1] // 2)))
    return tuple(chosen)


def attend(
    queries: tf.Tensor,  # (batch, heads, steps, head_dim)
    blocks: list[Block],
    mask: tf.Tensor,  # (batch, 1, steps, positions)
) -> tf.Tensor:
    """(batch, heads, steps, head_dim): softmax over the positions of all blocks, in float32."""
    scores = _joined([_scores(queries, block) for block in blocks])
    weights = tf.nn.softmax(tf.cast(scores, tf.float32) + mask)
    parts = _split(tf.cast(weights, queries.dtype), len(blocks))
    return tf.add_n([_mixed(part, block) for part, block in zip(parts, blocks, strict=True)])


def _scores(queries: tf.Tensor, block: Block) -> tf.Tensor:
    """(batch, heads, steps, block_size)."""
    if block.whole:
        return tf.matmul(queries, block.keys, transpose_b=True)
    some = tf.matmul(queries[: tf.shape(block.keys)[0]], block.keys, transpose_b=True)
    return _for_all(some, queries, LOW)


def _mixed(weights: tf.Tensor, block: Block) -> tf.Tensor:
    """(batch, heads, steps, head_dim)."""
    if block.whole:
        return tf.matmul(weights, block.values)
    return _for_all(tf.matmul(weights[: tf.shape(block.values)[0]], block.values), weights, 0)


def _for_all(some: tf.Tensor, like: tf.Tensor, fill: float) -> tf.Tensor:
    """The first rows' values, and `fill` for the rest of the batch."""
    missing = tf.shape(like)[0] - tf.shape(some)[0]
    return tf.pad(some, [[0, missing], [0, 0], [0, 0], [0, 0]], constant_values=tf.cast(fill, some.dtype))


def _last(chosen: tf.Tensor) -> tf.Tensor:
    """How many of the first entries reach the last that is true, ()."""
    return tf.reduce_max(tf.where(chosen, tf.range(tf.size(chosen)) + 1, 0))


def _joined(parts: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat(parts, -1) if len(parts) > 1 else parts[0]


def _split(weights: tf.Tensor, count: int) -> list[tf.Tensor]:
    return tf.split(weights, count, -1) if count > 1 else [weights]


def _mask(places: tf.Tensor, positions: int) -> tf.Tensor:
    """What is added to the scores, (batch, 1, steps, positions): very low where a token may not look."""
    return tf.where(tf.range(positions) <= places[:, None, :, None], 0.0, LOW)
