"""Sources of the layers that KerasHub's backbones consist of, by their paths in the weight files.

Keras names the first layer of a class in a list by the class name in snake case, and numbers the others.
"""

from export.transformer_model import rope as ropes
from export.transformer_model.description import Attention, Transformer
from export.transformer_model.rope import Rope
from export.transformer_model.weight_source import WeightSource, WeightSources, joined, tensor

EMBEDDING = "layers/reversible_embedding/vars/0"
HEAD = "layers/reversible_embedding/vars/1"
"""Path of the head's weights, in models whose head is not tied to the embedding."""


def layer_path(name: str, index: int) -> str:
    """Returns the path of the layer with this index among the layers of one class."""
    return f"layers/{name}_{index}" if index else f"layers/{name}"


def kernel(layer: str, *shape: int) -> WeightSource:
    """Returns the source of a dense layer's kernel."""
    return tensor(f"{layer}/vars/0", *shape)


def bias(layer: str, *shape: int) -> WeightSource:
    """Returns the source of a layer's bias, which is stored in `shape`, as one vector."""
    return tensor(f"{layer}/vars/1", *shape).then(lambda value: value.reshape(-1))


def scale(layer: str, width: int) -> WeightSource:
    """Returns the source of a norm's scale."""
    return tensor(f"{layer}/vars/0", width)


def end_sources(model: Transformer) -> WeightSources:
    """Returns the sources of the embedding and, unless it is tied, of the head."""
    found = {"embedding": tensor(EMBEDDING, model.vocabulary_size, model.width)}
    if not model.tied:
        found["head.kernel"] = tensor(HEAD, model.width, model.vocabulary_size).transposed
    return found


def attention_kernels(names: dict[str, str], attention: Attention, width: int) -> WeightSources:
    """Returns the sources of the kernels of attention.

    `names` are the paths of the layers `query`, `key`, `value` and `output`. The first three are stored as
    (width, heads, head_dim), the last as (heads, head_dim, width).
    """
    heads = {"query": attention.heads, "key": attention.kv_heads, "value": attention.kv_heads}
    parts = [kernel(names[part], width, n, attention.head_dim) for part, n in heads.items()]
    output = kernel(names["output"], attention.heads, attention.head_dim, width)
    return {
        "qkv.kernel": joined(*(part.then(lambda value: value.reshape(width, -1)) for part in parts)),
        "attention_output.kernel": output.then(lambda value: value.reshape(-1, width)),
    }


def attention_biases(names: dict[str, str], attention: Attention) -> WeightSources:
    """Returns the source of the biases of queries, keys and values."""
    heads = {"query": attention.heads, "key": attention.kv_heads, "value": attention.kv_heads}
    return {"qkv.bias": joined(*(bias(names[part], n, attention.head_dim) for part, n in heads.items()))}


def in_layer(index: int, sources: WeightSources) -> WeightSources:
    """Returns the sources of a layer by their names in the model."""
    return {f"layers.{index}.{name}": source for name, source in sources.items()}


def rope(theta: float, factor: float, head_dim: int, context: int) -> Rope:
    """Builds a rope of the whole head whose positions are divided by `factor` (linear scaling)."""
    scaling = {"rope_type": "linear", "factor": factor}
    return ropes.read({"rope_theta": theta, "rope_scaling": scaling}, head_dim, context)
