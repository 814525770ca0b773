"""Phi 1, 1.5 and 2: parallel layers with one norm, biases, rotary positions in a part of each head."""

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.parts import end_sources, layer_norm, product, products, transformer
from export.transformer_model.description import SHARED, Attention, FeedForward, Layer, Norm, Transformer
from export.transformer_model.weight_source import WeightSources, tensor

MODEL_TYPE = "phi"
PREFIX = "model."
NOT_WEIGHTS = (".rotary_emb.inv_freq",)


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 2048)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    norm = Norm("layer", config.number("layer_norm_eps", 1e-5))
    layer = Layer(
        _attention(config, context, norm),
        FeedForward(
            config.size("intermediate_size", 8192),
            config.activation("hidden_act", "gelu_new"),
            gated=False,
        ),
        norms=SHARED,
        parallel=True,
    )
    return transformer(config, context, norm, (layer,) * config.size("num_hidden_layers"), tied=False)


def _attention(config: ConfigReader, context: int, norm: Norm) -> Attention:
    """Builds the attention of each layer."""
    heads = config.size("num_attention_heads")
    head_dim = config.optional_size("head_dim") or config.divided("hidden_size", "num_attention_heads")
    return Attention(
        heads,
        config.size("num_key_value_heads", heads),
        head_dim,
        scale=head_dim**-0.5,
        rope=config.rope(head_dim, context),
        query_key_norm=norm if config.flag("qk_layernorm", False) else None,
    )


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    found = end_sources(model, "embed_tokens", "final_layernorm", "lm_head")
    found["head.bias"] = tensor("lm_head.bias", model.vocabulary_size)
    for i, layer in enumerate(model.layers):
        found |= _layer(f"layers.{i}", layer, model.width)
    return found


def _layer(name: str, layer: Layer, width: int) -> WeightSources:
    """Returns the sources of the layer `name`, which has the same name in the checkpoint."""
    assert isinstance(layer.feed_forward, FeedForward)
    attention, inner, block = layer.attention, layer.feed_forward.width, f"{name}.self_attn"
    parts = {"q": attention.width, "k": attention.kv_width, "v": attention.kv_width}
    found = layer_norm(f"{name}.attention_norm", f"{name}.input_layernorm", width)
    found |= products(f"{name}.qkv", {f"{block}.{p}_proj": n for p, n in parts.items()}, width, bias=True)
    found |= product(f"{name}.attention_output", f"{block}.dense", attention.width, width, bias=True)
    found |= product(f"{name}.inner", f"{name}.mlp.fc1", width, inner, bias=True)
    found |= product(f"{name}.outer", f"{name}.mlp.fc2", inner, width, bias=True)
    if attention.query_key_norm is not None:
        found |= layer_norm(f"{name}.query_norm", f"{block}.q_layernorm", attention.head_dim)
        found |= layer_norm(f"{name}.key_norm", f"{block}.k_layernorm", attention.head_dim)
    return found
