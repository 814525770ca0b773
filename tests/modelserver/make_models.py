"""Writes the SavedModels of the recordings, and two more: `python make_models.py BASE`.

BASE/basic/1 and BASE/basic/2: many signatures; `serving_default` returns x * version + 1.
BASE/other/1: `serving_default` returns x - 1.
BASE/named/1: one signature that is not `serving_default`.
BASE/waiting/1 and 2: not recorded; calls that run until a file exists.
BASE/pool/1: not recorded; variables that a call creates, like the pool of the resident layout.
"""

import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf

DTYPES = (
    tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.int8, tf.uint8, tf.int16, tf.uint16,
    tf.int32, tf.uint32, tf.int64, tf.uint64, tf.bool, tf.string, tf.complex64,
)  # fmt: skip


def spec(shape: list[int | None] | None, dtype: tf.DType, name: str) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name=name)


def signature(inputs: list[tf.TensorSpec], function: Callable[..., Any]) -> Any:
    return tf.function(function, input_signature=inputs)


class Basic(tf.Module):
    def __init__(self, version: int) -> None:
        super().__init__()
        self.scale = tf.Variable(float(version), name="scale")
        self.count = tf.Variable(0, dtype=tf.int64, name="count")


def basic_signatures(model: Basic) -> dict[str, Any]:
    return {
        "serving_default": signature(
            [spec([None, 3], tf.float32, "x")], lambda x: {"y": x * model.scale + 1.0}
        ),
        "two": signature(
            [spec([None], tf.float32, "a"), spec([None], tf.int32, "b")],
            lambda a, b: {"sum": a + tf.cast(b, tf.float32), "product": a * tf.cast(b, tf.float32)},
        ),
        "scalar": signature([spec([], tf.int64, "n")], lambda n: {"twice": n * 2}),
        "constant": signature(
            [], lambda: {"text": tf.constant(b"\x00bytes\xff"), "number": tf.constant(7, tf.int32)}
        ),
        "empty": signature([spec([None, 2], tf.float32, "x")], lambda x: {"y": x[:0]}),
        "count": signature(
            [spec([], tf.int64, "step")], lambda step: {"count": model.count.assign_add(step)}
        ),
        "positive": signature([spec([None], tf.float32, "x")], positive),
        "shaped": signature(
            [spec([None, 3], tf.float32, "x")], lambda x: {"y": tf.ensure_shape(x, [None, 3]) * 1.0}
        ),
        "gather": signature(
            [spec([None], tf.int32, "i")], lambda i: {"v": tf.gather(tf.constant([1.0, 2.0, 3.0]), i)}
        ),
        "matmul": signature(
            [spec([None, None], tf.float32, "a"), spec([None, None], tf.float32, "b")],
            lambda a, b: {"c": tf.matmul(a, b)},
        ),
        "loop": signature([spec([], tf.int64, "steps")], lambda steps: {"count": loop(model, steps)}),
        "big": signature([spec([], tf.int32, "n")], lambda n: {"zeros": tf.zeros([n], tf.float32)}),
    }


def positive(x: tf.Tensor) -> dict[str, tf.Tensor]:
    check = tf.debugging.assert_positive(x, message="x must be positive")
    with tf.control_dependencies([check]):
        return {"root": tf.sqrt(x)}


def loop(model: Basic, steps: tf.Tensor) -> tf.Tensor:
    """Counts up by one in each step, slowly."""

    def body(i: tf.Tensor) -> tf.Tensor:
        slow = tf.linalg.matmul(tf.ones([256, 256]), tf.ones([256, 256]))
        with tf.control_dependencies([model.count.assign_add(1), slow]):
            return i + 1

    last = tf.while_loop(lambda i: i < steps, body, [tf.constant(0, tf.int64)], parallel_iterations=1)
    with tf.control_dependencies(last):
        return model.count.read_value()


def save_basic(base: str, version: int) -> None:
    model = Basic(version)
    signatures = basic_signatures(model)
    for dtype in DTYPES:
        signatures[f"echo_{dtype.name}"] = signature(
            [spec(None, dtype, "x")], lambda x: {"y": tf.identity(x)}
        )
    tf.saved_model.save(model, f"{base}/basic/{version}", signatures=signatures)


def save_simple(path: str, key: str, function: Callable[..., Any]) -> None:
    model = tf.Module()
    model.f = signature([spec([None], tf.float32, "x")], function)
    tf.saved_model.save(model, path, signatures={key: model.f})


class Waiting(tf.Module):
    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = tf.constant(float(version))
        self.looks = tf.Variable(0, dtype=tf.int64, name="looks")

    def wait(self, path: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs until there is a file at `path`."""

        def look(_: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([self.looks.assign_add(1)]):
                return tf.size(tf.io.matching_files(path)) > 0

        return {"found": tf.while_loop(tf.logical_not, look, [tf.constant(False)])[0]}


def save_waiting(base: str, version: int) -> None:
    """Saves a model: `serving_default` returns x * version, `looks` the number of checks by all waits."""
    model = Waiting(version)
    signatures = {
        "serving_default": signature([spec([None], tf.float32, "x")], lambda x: {"y": x * model.version}),
        "wait": signature([spec([], tf.string, "path")], model.wait),
        "looks": signature([], lambda: {"looks": model.looks.read_value()}),
    }
    tf.saved_model.save(model, f"{base}/waiting/{version}", signatures=signatures)


def pool_handle(name: str, dtype: tf.DType, shape: list[int | None]) -> tf.Tensor:
    return tf.raw_ops.VarHandleOp(shared_name=name, container="", dtype=dtype, shape=shape)


def claim(rows: tf.Tensor, epoch: tf.Tensor) -> dict[str, tf.Tensor]:
    """Creates a pool of zeros with `rows` rows, and gives its lease to `epoch`."""
    handle = pool_handle("pool", tf.float32, [None, 4])
    tf.raw_ops.AssignVariableOp(resource=handle, value=tf.zeros([rows, 4]))
    lease = pool_handle("lease_epoch", tf.int64, [])
    tf.raw_ops.AssignVariableOp(resource=lease, value=epoch)
    return {"epoch": tf.identity(epoch)}


def add_row(row: tf.Tensor, epoch: tf.Tensor) -> dict[str, tf.Tensor]:
    """Adds 1 to a row, if `epoch` has the lease."""
    lease = tf.raw_ops.ReadVariableOp(resource=pool_handle("lease_epoch", tf.int64, []), dtype=tf.int64)
    with tf.control_dependencies([tf.debugging.assert_equal(lease, epoch, message="stale lease")]):
        handle = pool_handle("pool", tf.float32, [None, 4])
        updates = tf.ones([1, 4])
        tf.raw_ops.ResourceScatterAdd(resource=handle, indices=[row], updates=updates)
        return {"row": tf.raw_ops.ResourceGather(resource=handle, indices=[row], dtype=tf.float32)}


def save_pool(path: str) -> None:
    model = tf.Module()
    model.claim = signature([spec([], tf.int32, "rows"), spec([], tf.int64, "epoch")], claim)
    model.add = signature([spec([], tf.int32, "row"), spec([], tf.int64, "epoch")], add_row)
    tf.saved_model.save(model, path, signatures={"claim": model.claim, "add": model.add})


def main(base: str) -> None:
    save_basic(base, 1)
    save_basic(base, 2)
    save_simple(f"{base}/other/1", "serving_default", lambda x: {"y": x - 1.0})
    save_simple(f"{base}/named/1", "only", lambda x: {"y": x})
    save_waiting(base, 1)
    save_waiting(base, 2)
    save_pool(f"{base}/pool/1")


if __name__ == "__main__":
    main(sys.argv[1])
