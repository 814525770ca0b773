"""Attention over the pool: new keys and values go in, and each query looks at its own slot's positions.

Knows where a call's rows lie in the pool; knows neither weights nor where queries come from.
"""

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from export.pool import KINDS, Layout, Pool

Block = tuple[tf.Tensor, tf.Tensor]
"""Keys and values of one block of the call's rows, each (batch, heads, block_size, head_dim)."""

Choose = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(units, first) -> the units of the call's rows, where `first` is that of slot 0."""


class View:
    """What a call with `tokens` (batch, steps) sees of the pool: its rows' slots.

    Row i holds `starts[i]` tokens and gets `lengths[i]` more; what lies beyond these, or beyond the slot, is
    not kept. About as many blocks are read as the longest row fills.
    """

    def __init__(
        self,
        pool: Pool,
        slots: tf.Tensor,  # (): of the pool
        choose: Choose,
        rows: tf.Tensor,  # (batch,): their slots
        starts: tf.Tensor,  # (batch,)
        lengths: tf.Tensor,  # (batch,)
        steps: tf.Tensor,  # ()
    ) -> None:
        self._pool = pool
        self._slots = slots
        self._choose = choose
        places = starts[:, None] + tf.range(steps)  # (batch, steps)
        kept = (tf.range(steps) < lengths[:, None]) & (places < self.layout.positions)
        self._rows = self._targets(rows, places, kept)
        self._mask = _mask(places, self.layout.positions)
        self._counts = counts(self.layout.blocks)
        needed = tf.reduce_max(tf.where(kept, places, 0)) // self.layout.block_size + 1
        self._branch = tf.searchsorted(self._counts, needed[None])[0]

    @property
    def layout(self) -> Layout:
        return self._pool.layout

    def attend(self, layer: int, queries: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """(batch, heads, steps, head_dim) for `queries` of that shape, already scaled.

        `entries` (batch * steps, KINDS, heads, head_dim): the keys and values of the same tokens.
        """
        flat = tf.reshape(entries, [-1, self.layout.head_dim])
        units = self._pool.write(layer, self._rows, flat)
        branches = [partial(self._attend, count, units, queries) for count in self._counts]
        return tf.switch_case(self._branch, branches) if len(branches) > 1 else branches[0]()

    def _attend(self, count: int, units: tf.Tensor, queries: tf.Tensor) -> tf.Tensor:
        """Over the first `count` blocks."""
        blocks = [self._block(units, block) for block in range(count)]
        return attend(queries, blocks, self._mask[..., : count * self.layout.block_size])

    def _block(self, units: tf.Tensor, block: int) -> Block:
        firsts = [self._pool.unit(block, kind, 0, self._slots) for kind in range(KINDS)]
        return self._choose(units, firsts[0]), self._choose(units, firsts[1])

    def _targets(self, rows: tf.Tensor, places: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """The pool's rows for the entries, (batch * steps * KINDS * heads,)."""
        size, heads = self.layout.block_size, tf.range(self.layout.heads)
        block, slot = (places // size)[..., None], rows[:, None, None]
        unit = self._pool.unit(block, tf.range(KINDS), slot, self._slots)  # (batch, steps, KINDS)
        row = unit[..., None] * self.layout.unit_rows + heads * size + (places % size)[..., None, None]
        scratch = self._pool.scratch(self._slots) * self.layout.unit_rows
        return tf.reshape(tf.where(kept[..., None, None], row, scratch), [-1])


def counts(blocks: int) -> tuple[int, ...]:
    """How many blocks may be read at a time. Each choice is a part of the graph, so they thin out."""
    chosen = [1]
    while chosen[-1] < blocks:
        chosen.append(min(blocks, chosen[-1] + max(1, chosen[-1] // 2)))
    return tuple(chosen)


def leading(count: tf.Tensor) -> Choose:
    """Slots 0 to `count` - 1, without a copy."""
    return lambda units, first: units[first : first + count]


def gathered(slots: tf.Tensor) -> Choose:
    """Any slots, copied."""
    return lambda units, first: tf.gather(units, first + slots)


def attend(
    queries: tf.Tensor,  # (batch, heads, steps, head_dim)
    blocks: list[Block],
    mask: tf.Tensor,  # (batch, 1, steps, positions)
) -> tf.Tensor:
    """(batch, heads, steps, head_dim): softmax over the positions of all blocks, in float32."""
    scores = [tf.matmul(queries, keys, transpose_b=True) for keys, _ in blocks]
    weights = tf.nn.softmax(tf.cast(_joined(scores), tf.float32) + mask)
    parts = _split(tf.cast(weights, queries.dtype), len(blocks))
    return tf.add_n([tf.matmul(part, values) for part, (_, values) in zip(parts, blocks, strict=True)])


def _joined(parts: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat(parts, -1) if len(parts) > 1 else parts[0]


def _split(weights: tf.Tensor, count: int) -> list[tf.Tensor]:
    return tf.split(weights, count, -1) if count > 1 else [weights]


def _mask(places: tf.Tensor, positions: int) -> tf.Tensor:
    """What is added to the scores, (batch, 1, steps, positions): very low where a token may not look."""
    return tf.where(tf.range(positions) <= places[:, None, :, None], 0.0, -1e9)
