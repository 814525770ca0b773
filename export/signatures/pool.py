"""The pool of keys and values in the model server: its variables, its lease, and how rows go in and out.

The variables are named by handles inside the graphs: the claim makes them, at the size that it is asked for,
and no version directory holds them. Knows neither attention nor sampling.

One variable for each layer, of rows (head_dim,). They stand for
(blocks, keys | values, the block's slots, kv_heads, block_size) and end with one unit of scratch,
(kv_heads, block_size): there goes what must not be kept, since a scatter cannot leave rows out. So one
scatter writes a layer's keys and values, and one block of the first slots is a slice of the leading axis,
which shares the variable's memory. Few sessions use their whole context, so later blocks may have fewer
slots than earlier ones:

    block 0   slot 0  slot 1  slot 2  slot 3
    block 1   slot 0  slot 1
    block 2   slot 0
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

EPOCH = "lease_epoch"
SLOTS = "pool_slots"
KINDS = 2
"""Keys, values."""


@dataclass(frozen=True)
class Layout:
    """What a slot holds. A unit is one block of one slot's keys, or values, in one layer."""

    layers: int
    kv_heads: int
    head_dim: int
    dtype: str
    block_size: int
    blocks: int

    @property
    def positions(self) -> int:
        return self.blocks * self.block_size

    @property
    def unit_rows(self) -> int:
        return self.kv_heads * self.block_size

    @property
    def bytes_per_block(self) -> int:
        """Of one slot, in all layers."""
        size: int = tf.as_dtype(self.dtype).size
        return self.layers * KINDS * self.unit_rows * self.head_dim * size


class Held(NamedTuple):
    """What a claimed pool has; all int32."""

    slots: tf.Tensor
    """(blocks,): how many of the first slots have each block."""
    firsts: tf.Tensor
    """(blocks,): each block's first unit."""
    scratch: tf.Tensor
    """(): the unit after all others."""

    def unit(self, block: tf.Tensor, slot: tf.Tensor) -> tf.Tensor:
        """Where the unit of each of KINDS is among those of a layer: one more axis."""
        kinds = tf.range(KINDS) * tf.gather(self.slots, block)[..., None]
        return (tf.gather(self.firsts, block) + slot)[..., None] + kinds

    def spans(self, block: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The first unit of the block's keys, and of its values."""
        first = self.firsts[block]
        return first, first + self.slots[block]

    def has(self, block: tf.Tensor, slot: tf.Tensor) -> tf.Tensor:
        return slot < tf.gather(self.slots, block)


class PoolVariables:
    """The variables of one layout. Every method adds to the graph that is being traced."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def claim(self, epoch: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
        """`epoch`, once zeros have taken the place of whatever there was; `slots` as in Held."""
        # Without its epoch a pool is nobody's, should the memory for the new one not suffice.
        with tf.control_dependencies([*self._claimable(slots), *self._destroy()]):
            rows = (KINDS * tf.reduce_sum(slots) + 1) * self.layout.unit_rows
        made = [
            tf.raw_ops.AssignVariableOp(resource=self._handle(layer), value=self._zeros(rows))
            for layer in range(self.layout.layers)
        ]
        made.append(tf.raw_ops.AssignVariableOp(resource=self._slots_handle(), value=slots))
        with tf.control_dependencies(made):
            leased = tf.raw_ops.AssignVariableOp(resource=_epoch_handle(), value=epoch)
        with tf.control_dependencies([leased]):
            return tf.identity(epoch)

    def check(self, epoch: tf.Tensor) -> Held:
        """What there is, once it is known that `epoch` holds the lease."""
        leased = tf.raw_ops.ReadVariableOp(resource=_epoch_handle(), dtype=tf.int64)
        with tf.control_dependencies([tf.debugging.assert_equal(leased, epoch, "stale lease")]):
            slots = tf.raw_ops.ReadVariableOp(resource=self._slots_handle(), dtype=tf.int32)
        slots = tf.ensure_shape(slots, [self.layout.blocks])
        ends = KINDS * tf.cumsum(slots)
        return Held(slots, ends - KINDS * slots, ends[-1])

    def write(self, layer: int, rows: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """Put `entries` (any, head_dim) into `rows` (any,); then the units of `layer`, as `read`."""
        handle = self._handle(layer)
        written = tf.raw_ops.ResourceScatterUpdate(resource=handle, indices=rows, updates=entries)
        with tf.control_dependencies([written]):
            return self._read(handle)

    def read(self, layer: int) -> tf.Tensor:
        """(units, kv_heads, block_size, head_dim), without a copy.

        Nothing may hold on to it when the next write comes: that would copy the variable.
        """
        return self._read(self._handle(layer))

    def move(
        self, sources: tf.Tensor, targets: tf.Tensor, blocks: tf.Tensor, held: Held
    ) -> list[tf.Operation]:
        """Copy as many `blocks` (any,) of the slots `sources` (any,) to `targets` (any,), all at once.

        A source may be another's target: slots can change places.
        """
        block = tf.range(self.layout.blocks)[:, None]
        kept = (block < blocks) & held.has(block, sources) & held.has(block, targets)
        pairs = tf.where(kept)  # (copies, [block, which])
        block, which = tf.cast(pairs[:, 0], tf.int32), pairs[:, 1]
        units = tf.reshape(held.unit(block, tf.gather(sources, which)), [-1])
        to = tf.reshape(held.unit(block, tf.gather(targets, which)), [-1, 1])
        rows = tf.reshape(to * self.layout.unit_rows + tf.range(self.layout.unit_rows), [-1])
        copies = [tf.gather(self.read(layer), units) for layer in range(self.layout.layers)]
        return [
            tf.raw_ops.ResourceScatterUpdate(
                resource=self._handle(layer),
                indices=rows,
                updates=tf.reshape(copy, [-1, self.layout.head_dim]),
            )
            for layer, copy in enumerate(copies)
        ]

    def _read(self, handle: tf.Tensor) -> tf.Tensor:
        layout = self.layout
        # A scatter makes reads copy from then on, unless they are told not to.
        with tf.control_dependencies([tf.raw_ops.DisableCopyOnRead(resource=handle)]):
            flat = tf.raw_ops.ReadVariableOp(resource=handle, dtype=layout.dtype)
        return tf.reshape(flat, [-1, layout.kv_heads, layout.block_size, layout.head_dim])

    def _zeros(self, rows: tf.Tensor) -> tf.Tensor:
        """The layer's own: of equal `tf.zeros` there is one in the end, copied by the first write to each."""
        return tf.raw_ops.Empty(shape=[rows, self.layout.head_dim], dtype=self.layout.dtype, init=True)

    def _claimable(self, slots: tf.Tensor) -> list[tf.Operation]:
        return [
            tf.debugging.assert_equal(tf.size(slots), self.layout.blocks, "slots are given for each block"),
            tf.debugging.assert_positive(slots[:1], "no slots"),
            tf.debugging.assert_non_negative(slots, "slots must not be negative"),
            tf.debugging.assert_less_equal(slots[1:], slots[:-1], "later blocks must not have more slots"),
        ]

    def _destroy(self) -> Iterable[tf.Operation]:
        layers = (self._handle(layer) for layer in range(self.layout.layers))
        handles = [_epoch_handle(), self._slots_handle(), *layers]
        return [tf.raw_ops.DestroyResourceOp(resource=h, ignore_lookup_error=True) for h in handles]

    def _slots_handle(self) -> tf.Tensor:
        return _handle(SLOTS, tf.int32, [None])

    def _handle(self, layer: int) -> tf.Tensor:
        shape = [None, self.layout.head_dim]
        return _handle(f"pool_{layer}", tf.as_dtype(self.layout.dtype), shape)


def _epoch_handle() -> tf.Tensor:
    return _handle(EPOCH, tf.int64, [])


def _handle(name: str, dtype: tf.DType, shape: list[int | None]) -> tf.Tensor:
    return tf.raw_ops.VarHandleOp(shared_name=name, container="", dtype=dtype, shape=shape)
