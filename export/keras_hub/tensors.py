"""Sources of the layers that KerasHub's backbones are made of, by their paths in the weight files.

A list's first layer of a class goes by the class's name in snake case, the others by that and their number.
"""

from export.transformer_model import rope as ropes
from export.transformer_model.description import Attention, Transformer
from export.transformer_model.rope import Rope
from export.transformer_model.weight_source import WeightSource, WeightSources, joined, tensor

EMBEDDING = "layers/reversible_embedding/vars/0"
HEAD = "layers/reversible_embedding/vars/1"
"""Where the head is not the embedding."""


def numbered(name: str, index: int) -> str:
    """Of the layers of one class."""
    return f"layers/{name}_{index}" if index else f"layers/{name}"


def kernel(layer: str, *shape: int) -> WeightSource:
    return tensor(f"{layer}/vars/0", *shape)


def bias(layer: str, *shape: int) -> WeightSource:
    """As one vector."""
    return tensor(f"{layer}/vars/1", *shape).then(lambda value: value.reshape(-1))


def scale(layer: str, width: int) -> WeightSource:
    """Of a norm."""
    return tensor(f"{layer}/vars/0", width)


def ends(model: Transformer) -> WeightSources:
    """Embedding and head."""
    found = {"embedding": tensor(EMBEDDING, model.vocabulary_size, model.width)}
    if not model.tied:
        found["head.kernel"] = tensor(HEAD, model.width, model.vocabulary_size).transposed
    return found


def attention_kernels(names: dict[str, str], attention: Attention, width: int) -> WeightSources:
    """Kernels (width, heads, head_dim) of queries, keys and values; (heads, head_dim, width) of the output.

    `names` are the paths of the layers `query`, `key`, `value` and `output`.
    """
    heads = {"query": attention.heads, "key": attention.kv_heads, "value": attention.kv_heads}
    parts = [kernel(names[part], width, n, attention.head_dim) for part, n in heads.items()]
    output = kernel(names["output"], attention.heads, attention.head_dim, width)
    return {
        "qkv.kernel": joined(*(part.then(lambda value: value.reshape(width, -1)) for part in parts)),
        "attention_output.kernel": output.then(lambda value: value.reshape(-1, width)),
    }


def attention_biases(names: dict[str, str], attention: Attention) -> WeightSources:
    """Of queries, keys and values."""
    heads = {"query": attention.heads, "key": attention.kv_heads, "value": attention.kv_heads}
    return {"qkv.bias": joined(*(bias(names[part], n, attention.head_dim) for part, n in heads.items()))}


def within(index: int, sources: WeightSources) -> WeightSources:
    """Those of a layer, by their names in the model."""
    return {f"layers.{index}.{name}": source for name, source in sources.items()}


def rope(theta: float, factor: float, head_dim: int, context: int) -> Rope:
    """Of the whole head, all of it `factor` times as slow as `theta` says."""
    scaling = {"rope_type": "linear", "factor": factor}
    return ropes.read({"rope_theta": theta, "rope_scaling": scaling}, head_dim, context)
