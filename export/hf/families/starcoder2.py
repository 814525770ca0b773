"""StarCoder 2: grouped heads, rotary positions, layer norms, and optionally a window."""

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.parts import end_sources, layer_norm, product, products, transformer
from export.transformer_model.description import Attention, FeedForward, Layer, Norm, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "starcoder2"
PREFIX = "model."
NOT_WEIGHTS = (".rotary_emb.inv_freq",)


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 4096)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    # Published configurations also have these keys, which do not change the logits.
    config.unused("activation_function", "layer_norm_epsilon", "scale_attn_weights", "embedding_dropout")
    config.unused("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32")
    config.only("mlp_type", "default")
    config.only("norm_type", "layer_norm")
    norm = Norm("layer", config.number("norm_epsilon", 1e-5))
    layers = (_layer(config, context),) * config.size("num_hidden_layers")
    return transformer(config, context, norm, layers, tied=True)


def _layer(config: ConfigReader, context: int) -> Layer:
    head_dim = config.optional_size("head_dim") or config.divided("hidden_size", "num_attention_heads")
    attention = Attention(
        config.size("num_attention_heads"),
        config.size("num_key_value_heads", 2),
        head_dim,
        scale=head_dim**-0.5,
        rope=config.rope(head_dim, context),
        window=config.optional_size("sliding_window"),
    )
    inner = config.size("intermediate_size", 12288)
    return Layer(
        attention, FeedForward(inner, config.activation("hidden_act", "gelu_pytorch_tanh"), gated=False)
    )


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    bias = config.flag("use_bias", True)
    found = end_sources(model, "embed_tokens", "norm", "lm_head")
    for i, layer in enumerate(model.layers):
        found |= _layer_sources(f"layers.{i}", layer, model.width, bias)
    return found


def _layer_sources(name: str, layer: Layer, width: int, bias: bool) -> WeightSources:
    """Returns the sources of the layer `name`, which has the same name in the checkpoint."""
    assert isinstance(layer.feed_forward, FeedForward)
    attention, inner, block = layer.attention, layer.feed_forward.width, f"{name}.self_attn"
    parts = {"q": attention.width, "k": attention.kv_width, "v": attention.kv_width}
    found = layer_norm(f"{name}.attention_norm", f"{name}.input_layernorm", width)
    found |= layer_norm(f"{name}.feed_forward_norm", f"{name}.post_attention_layernorm", width)
    found |= products(f"{name}.qkv", {f"{block}.{p}_proj": n for p, n in parts.items()}, width, bias)
    found |= product(f"{name}.attention_output", f"{block}.o_proj", attention.width, width, bias)
    found |= product(f"{name}.inner", f"{name}.mlp.c_fc", width, inner, bias)
    found |= product(f"{name}.outer", f"{name}.mlp.c_proj", inner, width, bias)
    return found
