"""Sources of layers' parts, where products are stored as (outputs, inputs) and norms with offsets.

Knows no family.
"""

import numpy as np

from contract.tensors import Array
from export.transformer_model.weight_source import WeightSources, joined, linear, tensor


def product(name: str, own: str, inputs: int, outputs: int, bias: bool) -> WeightSources:
    """The kernel `name`, which the checkpoint calls `own`, and its bias if it has one."""
    found = {f"{name}.kernel": linear(f"{own}.weight", inputs, outputs)}
    return found | ({f"{name}.bias": tensor(f"{own}.bias", outputs)} if bias else {})


def products(name: str, own: dict[str, int], inputs: int, bias: bool) -> WeightSources:
    """As `product`, of several side by side: `own` has their names and how wide they are."""
    each = [product(name, part, inputs, outputs, bias) for part, outputs in own.items()]
    return {key: joined(*(sources[key] for sources in each)) for key in each[0]}


def layer_norm(name: str, own: str, width: int) -> WeightSources:
    """The norm `name`, which the checkpoint calls `own`."""
    return {
        f"{name}.scale": tensor(f"{own}.weight", width),
        f"{name}.offset": tensor(f"{own}.bias", width),
    }


def fused_qkv(name: str, own: str, width: int, bias: bool, heads: tuple[int, int, int]) -> WeightSources:
    """Of a product that gives each key head's queries, its key and its value, then the next key head's.

    `heads`: how many there are of queries, how many of keys, and their size.
    """
    count, kv_heads, head_dim = heads
    found = product(name, own, width, (count + 2 * kv_heads) * head_dim, bias)
    return {each: source.then(lambda x: _by_kind(x, kv_heads, head_dim)) for each, source in found.items()}


def _by_kind(qkv: Array, kv_heads: int, head_dim: int) -> Array:
    """The last axis: all queries, all keys, all values."""
    before = qkv.shape[:-1]
    grouped = qkv.reshape(*before, kv_heads, -1, head_dim)
    kinds = np.split(grouped, [-2, -1], axis=-2)
    return np.concatenate([kind.reshape(*before, -1) for kind in kinds], axis=-1)
