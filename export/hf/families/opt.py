"""OPT: learned positions, layer norms before the products or after the sums, sometimes a narrow embedding."""

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.parts import layer_norm, product, products
from export.transformer_model.description import (
    BEFORE,
    OF_SUMS,
    Attention,
    FeedForward,
    Layer,
    Norm,
    Transformer,
)
from export.transformer_model.weight_source import WeightSources, linear, tensor

MODEL_TYPE = "opt"
PREFIX = "model."
NOT_WEIGHTS = ()

UNUSED_POSITIONS = 2
"""Rows of the table of positions before the row of the first position."""


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 2048)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.unused("activation_dropout", "dropout", "init_std", "layerdrop")
    width = config.size("hidden_size")
    embedding_width = config.size("word_embed_proj_dim", width)
    before = config.flag("do_layer_norm_before", True)
    last = not config.flag("_remove_final_layer_norm", False)
    return Transformer(
        vocabulary_size=config.size("vocab_size"),
        context_length=context,
        width=width,
        norm=Norm("layer", 1e-5),
        layers=(_layer(config, before),) * config.size("num_hidden_layers"),
        tied=config.flag("tie_word_embeddings", True),
        learned_positions=True,
        embedding_width=None if embedding_width == width else embedding_width,
        final_norm=before and last,
    )


def _layer(config: ConfigReader, before: bool) -> Layer:
    """Builds each layer; `before`: its norms stand before the products."""
    heads = config.size("num_attention_heads")
    head_dim = config.divided("hidden_size", "num_attention_heads")
    return Layer(
        Attention(heads, heads, head_dim, scale=head_dim**-0.5),
        FeedForward(
            config.size("ffn_dim", 3072), config.activation("activation_function", "relu"), gated=False
        ),
        norms=BEFORE if before else OF_SUMS,
    )


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    bias = config.flag("enable_bias", True)
    found = _ends(model, config)
    for i, layer in enumerate(model.layers):
        found |= _products(f"layers.{i}", f"decoder.layers.{i}", layer, model.width, bias)
    if config.flag("layer_norm_elementwise_affine", True):
        found |= _norms(model)
    return found


def _ends(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the sources before and after the layers, except for the last norm."""
    width, vocabulary = model.width, model.vocabulary_size
    embedding_width = model.embedding_width or width
    rows = UNUSED_POSITIONS, UNUSED_POSITIONS + model.context_length
    positions = tensor("decoder.embed_positions.weight", UNUSED_POSITIONS + context(config), width)
    found = {
        "embedding": tensor("decoder.embed_tokens.weight", vocabulary, embedding_width),
        "positions": positions.rows(*rows),
    }
    if model.embedding_width is not None:
        found["input_projection.kernel"] = linear("decoder.project_in.weight", embedding_width, width)
        found["output_projection.kernel"] = linear("decoder.project_out.weight", width, embedding_width)
    if not model.tied:
        found["head.kernel"] = tensor("lm_head.weight", vocabulary, embedding_width)
    return found


def _products(name: str, stored: str, layer: Layer, width: int, bias: bool) -> WeightSources:
    assert isinstance(layer.feed_forward, FeedForward)
    inner, attention = layer.feed_forward.width, f"{stored}.self_attn"
    found = products(f"{name}.qkv", {f"{attention}.{part}_proj": width for part in "qkv"}, width, bias)
    found |= product(f"{name}.attention_output", f"{attention}.out_proj", width, width, bias)
    found |= product(f"{name}.inner", f"{stored}.fc1", width, inner, bias)
    found |= product(f"{name}.outer", f"{stored}.fc2", inner, width, bias)
    return found


def _norms(model: Transformer) -> WeightSources:
    found = layer_norm("final_norm", "decoder.final_layer_norm", model.width) if model.final_norm else {}
    for i, layer in enumerate(model.layers):
        norms = "self_attn_layer_norm", "final_layer_norm"
        for name, stored in zip(layer.norms, norms, strict=True):
            found |= layer_norm(f"layers.{i}.{name}", f"decoder.layers.{i}.{stored}", model.width)
    return found
