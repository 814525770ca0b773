"""Parts that several families share: the description of a model, and sources of layers with layer norms.

In the functions that return sources, `name` is the name of a part in the model, and `stored` its name in the
checkpoint. Products are stored as (outputs, inputs).
"""

import numpy as np

from contract.tensors import Array
from export.checkpoints.config_reader import ConfigReader
from export.transformer_model.description import Layer, Norm, Transformer
from export.transformer_model.weight_source import WeightSources, joined, linear, tensor


def transformer(
    config: ConfigReader, context: int, norm: Norm, layers: tuple[Layer, ...], tied: bool
) -> Transformer:
    """Builds the description of a model of `layers`, from the sizes that most configurations name alike.

    `tied` is the default of `tie_word_embeddings`.
    """
    return Transformer(
        vocabulary_size=config.size("vocab_size"),
        context_length=context,
        width=config.size("hidden_size"),
        norm=norm,
        layers=layers,
        tied=config.flag("tie_word_embeddings", tied),
    )


def end_sources(model: Transformer, embedding: str, norm: str, head: str) -> WeightSources:
    """Returns the sources of the embedding, of the last layer norm and, unless it is tied, of the head."""
    found = {"embedding": tensor(f"{embedding}.weight", model.vocabulary_size, model.width)}
    found |= layer_norm("final_norm", norm, model.width)
    if not model.tied:
        found["head.kernel"] = tensor(f"{head}.weight", model.vocabulary_size, model.width)
    return found


def product(name: str, stored: str, inputs: int, outputs: int, bias: bool) -> WeightSources:
    """Returns the sources of a product's kernel and, with `bias`, of its bias."""
    found = {f"{name}.kernel": linear(f"{stored}.weight", inputs, outputs)}
    return found | ({f"{name}.bias": tensor(f"{stored}.bias", outputs)} if bias else {})


def products(name: str, stored: dict[str, int], inputs: int, bias: bool) -> WeightSources:
    """Returns the sources of one product that is stored as several; `stored` maps their names to outputs."""
    each = [product(name, part, inputs, outputs, bias) for part, outputs in stored.items()]
    return {key: joined(*(sources[key] for sources in each)) for key in each[0]}


def layer_norm(name: str, stored: str, width: int) -> WeightSources:
    """Returns the sources of a layer norm's scale and offset."""
    return {
        f"{name}.scale": tensor(f"{stored}.weight", width),
        f"{name}.offset": tensor(f"{stored}.bias", width),
    }


def fused_qkv(name: str, stored: str, width: int, bias: bool, heads: tuple[int, int, int]) -> WeightSources:
    """Returns the sources of a product whose outputs are stored by key head.

    For each key head the outputs are its queries, its key and its value. `heads` is the number of query
    heads, the number of key heads, and the size of a head.
    """
    count, kv_heads, head_dim = heads
    found = product(name, stored, width, (count + 2 * kv_heads) * head_dim, bias)
    return {each: source.then(lambda x: _by_kind(x, kv_heads, head_dim)) for each, source in found.items()}


def _by_kind(qkv: Array, kv_heads: int, head_dim: int) -> Array:
    """Reorders the last axis to all queries, all keys, all values."""
    before = qkv.shape[:-1]
    grouped = qkv.reshape(*before, kv_heads, -1, head_dim)
    kinds = np.split(grouped, [-2, -1], axis=-2)
    return np.concatenate([kind.reshape(*before, -1) for kind in kinds], axis=-1)
