"""The pool of keys and values in the model server: its variables, its lease, and reading and writing rows.

The graphs refer to the variables by handles with fixed names. `claim` creates the variables, at the size that
the call asks for; no version directory contains them.

Each layer has one variable of rows (head_dim,). In order, the rows are
(blocks, keys | values, the block's slots, kv_heads, block_size), followed by one unit of scratch,
(kv_heads, block_size). A unit is the keys, or the values, of one block of one slot. Entries that must not be
kept are written to the scratch unit, because a scatter cannot leave rows out. In this order one scatter
writes a layer's keys and values, and a block of the first slots is a slice of the leading axis, which shares
the variable's memory. Few sessions use their whole context, so later blocks may have fewer slots than
earlier ones:

    block 0   slot 0  slot 1  slot 2  slot 3
    block 1   slot 0  slot 1
    block 2   slot 0

A pool of int8 has a second variable per layer: the scale of each row, in the same order.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import tensorflow as tf

from contract import names
from export.transformer_model.entries import Entries, Int8Entries, quantize_entries

EPOCH = "lease_epoch"
SLOTS = "pool_slots"
PROGRESS = "pool_progress"
"""int32 (slots, 2): the token that the last `decode` of a slot sampled last, and how many tokens it held
then without it. NO_TOKEN in place of the token if the row was stopped. Both are -1 in a new pool."""
TURN = "pool_turn"
"""The mutex that lets one `decode` run at a time."""
ENTRIES = "pool"
SCALES = "pool_scales"
"""The names of each layer's variables, without the number of the layer."""
KINDS = 2
"""Keys and values."""


class RowPart(NamedTuple):
    """A variable of each layer: what it holds of a row, and of a unit."""

    name: str
    dtype: tf.DType
    row: tuple[int, ...]
    """The shape of a row's part."""
    unit: tuple[int, ...]
    """The shape of a unit's part, as attention reads it."""


@dataclass(frozen=True)
class PoolLayout:
    """The shape of a pool with any number of slots."""

    layers: int
    kv_heads: int
    head_dim: int
    dtype: str
    """The dtype of entries; int8: with a float32 scale for each."""
    block_size: int
    """Positions in a block."""
    blocks: int
    """The blocks of a slot that has all of them."""

    @property
    def positions(self) -> int:
        """The tokens that a slot with all its blocks can hold."""
        return self.blocks * self.block_size

    @property
    def unit_rows(self) -> int:
        """The rows of one unit."""
        return self.kv_heads * self.block_size

    @property
    def bytes_per_block(self) -> int:
        """The bytes of one block of one slot, in all layers."""
        row_bytes: int = sum(prod(part.row) * part.dtype.size for part in self.parts)
        return self.layers * KINDS * self.unit_rows * row_bytes

    @property
    def parts(self) -> tuple[RowPart, ...]:
        """The variables of each layer, in the order of the fields of Int8Entries."""
        dtype, unit = tf.as_dtype(self.dtype), (self.kv_heads, self.block_size, self.head_dim)
        entries = RowPart(ENTRIES, dtype, (self.head_dim,), unit)
        scales = RowPart(SCALES, tf.float32, (), (self.kv_heads, 1, self.block_size))
        return (entries, scales) if dtype == tf.int8 else (entries,)


class ClaimedPool(NamedTuple):
    """The size of a claimed pool, and where its units are; all int32."""

    slots: tf.Tensor
    """(blocks,): how many of the first slots have each block."""
    starts: tf.Tensor
    """(blocks,): the index of each block's first unit."""
    scratch: tf.Tensor
    """(): the index of the scratch unit, which is the last one."""

    def units(self, block: tf.Tensor, slot: tf.Tensor) -> tf.Tensor:
        """Returns the indices of the units with keys and with values, (..., KINDS) for inputs (...)."""
        kinds = tf.range(KINDS) * tf.gather(self.slots, block)[..., None]
        return (tf.gather(self.starts, block) + slot)[..., None] + kinds

    def first_units(self, block: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the index of the first unit of the block's keys, and of its values."""
        first = self.starts[block]
        return first, first + self.slots[block]

    def has_block(self, block: tf.Tensor, slot: tf.Tensor) -> tf.Tensor:
        """Returns, as bool, whether `slot` has `block`."""
        return slot < tf.gather(self.slots, block)


class PoolVariables:
    """The pool's variables, for one layout. Each method adds operations to the graph that is being traced."""

    def __init__(self, layout: PoolLayout) -> None:
        self.layout = layout

    def claim(self, epoch: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
        """Replaces the pool by one of zeros with `slots` int32 (blocks,); returns `epoch` afterwards."""
        # The old pool and its epoch go first: where memory is too small for the new one, no lease holds.
        with tf.control_dependencies([*self._claimable(slots), *self._destroy()]):
            rows = (KINDS * tf.reduce_sum(slots) + 1) * self.layout.unit_rows
            undecoded = tf.fill([slots[0], 2], names.NO_TOKEN)
        made = [
            tf.raw_ops.AssignVariableOp(resource=_part_handle(part, layer), value=_zeros(part, rows))
            for part, layer in self._variables()
        ]
        made.append(tf.raw_ops.AssignVariableOp(resource=self._slots_handle(), value=slots))
        made.append(tf.raw_ops.AssignVariableOp(resource=_progress_handle(), value=undecoded))
        with tf.control_dependencies(made):
            leased = tf.raw_ops.AssignVariableOp(resource=_epoch_handle(), value=epoch)
        with tf.control_dependencies([leased]):
            return tf.identity(epoch)

    def check_lease(self, epoch: tf.Tensor) -> ClaimedPool:
        """Fails the call unless `epoch` holds the lease; returns the pool that was claimed."""
        leased = tf.raw_ops.ReadVariableOp(resource=_epoch_handle(), dtype=tf.int64)
        with tf.control_dependencies([tf.debugging.assert_equal(leased, epoch, "stale lease")]):
            slots = tf.raw_ops.ReadVariableOp(resource=self._slots_handle(), dtype=tf.int32)
        slots = tf.ensure_shape(slots, [self.layout.blocks])
        ends = KINDS * tf.cumsum(slots)
        return ClaimedPool(slots, ends - KINDS * slots, ends[-1])

    def take_turn(self) -> tf.Tensor:
        """Waits until no other call holds the turn; the result holds it until it is consumed or freed."""
        return tf.raw_ops.MutexLock(mutex=tf.raw_ops.MutexV2(container="", shared_name=TURN))

    def read_progress(self, count: tf.Tensor) -> tf.Tensor:
        """Returns the progress of the first `count` slots, int32 (count, 2)."""
        first = tf.range(count)
        return tf.raw_ops.ResourceGather(resource=_progress_handle(), indices=first, dtype=tf.int32)

    def write_progress(self, rows: tf.Tensor, progress: tf.Tensor) -> tf.Operation:
        """Writes `progress` int32 (any, 2) of the slots `rows` int32 (any,)."""
        return tf.raw_ops.ResourceScatterUpdate(resource=_progress_handle(), indices=rows, updates=progress)

    def write(self, layer: int, rows: tf.Tensor, entries: tf.Tensor) -> Entries:
        """Writes `entries` (count, head_dim) to `rows` (count,) of `layer`; returns its units, as `read`."""
        stored = quantize_entries(entries) if len(self.layout.parts) > 1 else (entries,)
        units = []
        for part, values in zip(self.layout.parts, stored, strict=True):
            handle = _part_handle(part, layer)
            written = tf.raw_ops.ResourceScatterUpdate(resource=handle, indices=rows, updates=values)
            with tf.control_dependencies([written]):
                units.append(_read(part, handle))
        return _entries(units)

    def read(self, layer: int) -> Entries:
        """Returns the units of `layer`, (units, kv_heads, block_size, head_dim), without a copy.

        The result must not be in use when the layer is written next: that would copy the whole variable.
        """
        return _entries([_read(part, _part_handle(part, layer)) for part in self.layout.parts])

    def move(
        self, sources: tf.Tensor, targets: tf.Tensor, blocks: tf.Tensor, claimed: ClaimedPool
    ) -> list[tf.Operation]:
        """Copies the first `blocks[i]` blocks of slot `sources[i]` to slot `targets[i]`; all are (moves,).

        All sources are read before any target is written, so two slots can be exchanged. Blocks that the
        source or the target lacks are left out.
        """
        block = tf.range(self.layout.blocks)[:, None]
        kept = (block < blocks) & claimed.has_block(block, sources) & claimed.has_block(block, targets)
        pairs = tf.where(kept)  # (copies, [block, move])
        block, move = tf.cast(pairs[:, 0], tf.int32), pairs[:, 1]
        units = tf.reshape(claimed.units(block, tf.gather(sources, move)), [-1])
        to = tf.reshape(claimed.units(block, tf.gather(targets, move)), [-1, 1])
        rows = tf.reshape(to * self.layout.unit_rows + tf.range(self.layout.unit_rows), [-1])
        variables = self._variables()
        copies = [tf.gather(_read(part, _part_handle(part, layer)), units) for part, layer in variables]
        return [
            tf.raw_ops.ResourceScatterUpdate(
                resource=_part_handle(part, layer), indices=rows, updates=tf.reshape(copy, [-1, *part.row])
            )
            for (part, layer), copy in zip(variables, copies, strict=True)
        ]

    def _variables(self) -> list[tuple[RowPart, int]]:
        """Returns the part and the layer of each variable with rows."""
        return [(part, layer) for layer in range(self.layout.layers) for part in self.layout.parts]

    def _claimable(self, slots: tf.Tensor) -> list[tf.Operation]:
        """Returns the checks of `slots`."""
        return [
            tf.debugging.assert_equal(tf.size(slots), self.layout.blocks, "slots are given for each block"),
            tf.debugging.assert_positive(slots[:1], "no slots"),
            tf.debugging.assert_non_negative(slots, "slots must not be negative"),
            tf.debugging.assert_less_equal(slots[1:], slots[:-1], "later blocks must not have more slots"),
        ]

    def _destroy(self) -> Iterable[tf.Operation]:
        layers = (_part_handle(part, layer) for part, layer in self._variables())
        handles = [_epoch_handle(), _progress_handle(), self._slots_handle(), *layers]
        return [tf.raw_ops.DestroyResourceOp(resource=h, ignore_lookup_error=True) for h in handles]

    def _slots_handle(self) -> tf.Tensor:
        return _handle(SLOTS, tf.int32, [None])


def _read(part: RowPart, handle: tf.Tensor) -> tf.Tensor:
    """Returns the units (units, *part.unit) without a copy."""
    # After a scatter TensorFlow copies a variable at every read, unless copy-on-read is disabled.
    with tf.control_dependencies([tf.raw_ops.DisableCopyOnRead(resource=handle)]):
        flat = tf.raw_ops.ReadVariableOp(resource=handle, dtype=part.dtype)
    return tf.reshape(flat, [-1, *part.unit])


def _entries(parts: list[tf.Tensor]) -> Entries:
    return Int8Entries(*parts) if len(parts) > 1 else parts[0]


def _zeros(part: RowPart, rows: tf.Tensor) -> tf.Tensor:
    """Returns zeros of the variable's own.

    TensorFlow would merge equal `tf.zeros` of all layers, and each layer's first write would copy them.
    """
    return tf.raw_ops.Empty(shape=[rows, *part.row], dtype=part.dtype, init=True)


def _part_handle(part: RowPart, layer: int) -> tf.Tensor:
    return _handle(f"{part.name}_{layer}", part.dtype, [None, *part.row])


def _epoch_handle() -> tf.Tensor:
    return _handle(EPOCH, tf.int64, [])


def _progress_handle() -> tf.Tensor:
    return _handle(PROGRESS, tf.int32, [None, 2])


def _handle(name: str, dtype: tf.DType, shape: list[int | None]) -> tf.Tensor:
    return tf.raw_ops.VarHandleOp(shared_name=name, container="", dtype=dtype, shape=shape)
