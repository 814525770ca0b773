"""The pool of keys and values in the model server: its variables, its lease, and how rows go in and out.

The variables are named by handles inside the graphs: the claim makes them, at the size that it is asked for,
and no version directory holds them. Knows neither attention nor sampling.

One variable for each layer, of rows (head_dim,). They stand for
(blocks, keys | values, slots, heads, block_size) and end with one unit of scratch, (heads, block_size): there
goes what must not be kept, since a scatter cannot leave rows out. So one scatter writes a layer's keys and
values, and one block of the first slots is a slice of the leading axis, which shares the variable's memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import tensorflow as tf

EPOCH = "lease_epoch"
KINDS = 2
"""Keys, values."""


@dataclass(frozen=True)
class Layout:
    """What a slot holds. A unit is one block of one slot's keys, or values, in one layer."""

    layers: int
    heads: int
    head_dim: int
    dtype: str
    block_size: int
    blocks: int

    @property
    def positions(self) -> int:
        return self.blocks * self.block_size

    @property
    def unit_rows(self) -> int:
        return self.heads * self.block_size

    @property
    def units_per_slot(self) -> int:
        """In one layer."""
        return KINDS * self.blocks

    @property
    def bytes_per_slot(self) -> int:
        size: int = tf.as_dtype(self.dtype).size
        return self.layers * self.units_per_slot * self.unit_rows * self.head_dim * size


class Pool:
    """The variables of one layout. Every method adds to the graph that is being traced."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def claim(self, epoch: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
        """`epoch`, once zeros have taken the place of whatever there was."""
        # Without its epoch a pool is nobody's, should the memory for the new one not suffice.
        with tf.control_dependencies([tf.debugging.assert_positive(slots, "no slots"), *self._destroy()]):
            rows = (slots * self.layout.units_per_slot + 1) * self.layout.unit_rows
        made = [
            tf.raw_ops.AssignVariableOp(resource=self._handle(layer), value=self._zeros(rows))
            for layer in range(self.layout.layers)
        ]
        with tf.control_dependencies(made):
            leased = tf.raw_ops.AssignVariableOp(resource=_epoch_handle(), value=epoch)
        with tf.control_dependencies([leased]):
            return tf.identity(epoch)

    def check(self, epoch: tf.Tensor) -> tf.Tensor:
        """How many slots there are, once it is known that `epoch` holds the lease."""
        held = tf.raw_ops.ReadVariableOp(resource=_epoch_handle(), dtype=tf.int64)
        with tf.control_dependencies([tf.debugging.assert_equal(held, epoch, "stale lease")]):
            rows = tf.raw_ops.VariableShape(input=self._handle(0))[0]
        return rows // self.layout.unit_rows // self.layout.units_per_slot

    def write(self, layer: int, rows: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """Put `entries` (any, head_dim) into `rows` (any,); then the units of `layer`, as `read`."""
        handle = self._handle(layer)
        written = tf.raw_ops.ResourceScatterUpdate(resource=handle, indices=rows, updates=entries)
        with tf.control_dependencies([written]):
            return self._read(handle)

    def read(self, layer: int) -> tf.Tensor:
        """(blocks * KINDS * slots + 1, heads, block_size, head_dim), without a copy.

        Nothing may hold on to it when the next write comes: that would copy the variable.
        """
        return self._read(self._handle(layer))

    def unit(self, block: tf.Tensor, kind: tf.Tensor, slot: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
        """Where a unit is among those of a layer, in a pool of `slots`."""
        return (block * KINDS + kind) * slots + slot

    def scratch(self, slots: tf.Tensor) -> tf.Tensor:
        """The last unit."""
        return slots * self.layout.units_per_slot

    def move(self, sources: tf.Tensor, targets: tf.Tensor, slots: tf.Tensor) -> list[tf.Operation]:
        """Copy the slots `sources` (any,) to the slots `targets` (any,)."""
        ahead = tf.range(self.layout.units_per_slot)[:, None] * slots
        units = tf.reshape(ahead + sources, [-1])
        rows = tf.reshape((ahead + targets)[..., None] * self.layout.unit_rows, [-1, 1])
        rows = tf.reshape(rows + tf.range(self.layout.unit_rows), [-1])
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
        return tf.reshape(flat, [-1, layout.heads, layout.block_size, layout.head_dim])

    def _zeros(self, rows: tf.Tensor) -> tf.Tensor:
        """The layer's own: of equal `tf.zeros` there is one in the end, copied by the first write to each."""
        return tf.raw_ops.Empty(shape=[rows, self.layout.head_dim], dtype=self.layout.dtype, init=True)

    def _destroy(self) -> Iterable[tf.Operation]:
        handles = [_epoch_handle(), *(self._handle(layer) for layer in range(self.layout.layers))]
        return [tf.raw_ops.DestroyResourceOp(resource=h, ignore_lookup_error=True) for h in handles]

    def _handle(self, layer: int) -> tf.Tensor:
        shape = [None, self.layout.head_dim]
        return _handle(f"pool_{layer}", tf.as_dtype(self.layout.dtype), shape)


def _epoch_handle() -> tf.Tensor:
    return _handle(EPOCH, tf.int64, [])


def _handle(name: str, dtype: tf.DType, shape: list[int | None]) -> tf.Tensor:
    return tf.raw_ops.VarHandleOp(shared_name=name, container="", dtype=dtype, shape=shape)
