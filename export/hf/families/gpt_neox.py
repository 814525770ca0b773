"""GPT-NeoX and Pythia: rotary positions in a part of each head, fused products, mostly parallel layers."""

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.parts import end_sources, fused_qkv, layer_norm, product, transformer
from export.transformer_model.description import Attention, FeedForward, Layer, Norm, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "gpt_neox"
PREFIX = "gpt_neox."
# Buffers of older checkpoints, and the head of a tied one.
NOT_WEIGHTS = (
    ".attention.bias",
    ".attention.masked_bias",
    ".attention.rotary_emb.inv_freq",
    "embed_out.weight",
)


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 2048)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    heads = config.size("num_attention_heads")
    head_dim = config.divided("hidden_size", "num_attention_heads")
    config.only("head_dim", head_dim)
    layer = Layer(
        Attention(heads, heads, head_dim, scale=head_dim**-0.5, rope=config.rope(head_dim, context)),
        FeedForward(
            config.size("intermediate_size", 24576), config.activation("hidden_act", "gelu"), gated=False
        ),
        parallel=config.flag("use_parallel_residual", True),
    )
    norm = Norm("layer", config.number("layer_norm_eps", 1e-5))
    return transformer(config, context, norm, (layer,) * config.size("num_hidden_layers"), tied=False)


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    bias = config.flag("attention_bias", True)
    found = end_sources(model, "embed_in", "final_layer_norm", "embed_out")
    for i, layer in enumerate(model.layers):
        found |= _layer(f"layers.{i}", layer, model.width, bias)
    return found


def _layer(name: str, layer: Layer, width: int, bias: bool) -> WeightSources:
    """Returns the sources of the layer `name`, which has the same name in the checkpoint."""
    assert isinstance(layer.feed_forward, FeedForward)
    attention, inner = layer.attention, layer.feed_forward.width
    heads = attention.heads, attention.kv_heads, attention.head_dim
    found = layer_norm(f"{name}.attention_norm", f"{name}.input_layernorm", width)
    found |= layer_norm(f"{name}.feed_forward_norm", f"{name}.post_attention_layernorm", width)
    found |= fused_qkv(f"{name}.qkv", f"{name}.attention.query_key_value", width, bias, heads)
    found |= product(f"{name}.attention_output", f"{name}.attention.dense", width, width, bias)
    found |= product(f"{name}.inner", f"{name}.mlp.dense_h_to_4h", width, inner, bias=True)
    found |= product(f"{name}.outer", f"{name}.mlp.dense_4h_to_h", inner, width, bias=True)
    return found
