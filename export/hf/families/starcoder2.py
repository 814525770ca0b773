"""StarCoder 2: grouped heads, rotary positions, layer norms, a window perhaps."""

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.parts import layer_norm, product, products
from export.transformer_model.description import Attention, FeedForward, Layer, Norm, Transformer
from export.transformer_model.weight_source import WeightSources, tensor

MODEL_TYPE = "starcoder2"
PREFIX = "model."
NOT_WEIGHTS = (".rotary_emb.inv_freq",)


def context(settings: ConfigReader) -> int:
    return settings.size("max_position_embeddings", 4096)


def describe(settings: ConfigReader, context: int) -> Transformer:
    # What published configurations state beside the keys that count.
    settings.unused("activation_function", "layer_norm_epsilon", "scale_attn_weights", "embedding_dropout")
    settings.unused("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32")
    settings.only("mlp_type", "default")
    settings.only("norm_type", "layer_norm")
    return Transformer(
        vocabulary_size=settings.size("vocab_size"),
        context_length=context,
        width=settings.size("hidden_size"),
        norm=Norm("layer", settings.number("norm_epsilon", 1e-5)),
        layers=(_layer(settings, context),) * settings.size("num_hidden_layers"),
        tied=settings.flag("tie_word_embeddings", True),
    )


def _layer(settings: ConfigReader, context: int) -> Layer:
    head_dim = settings.optional_size("head_dim") or settings.divided("hidden_size", "num_attention_heads")
    attention = Attention(
        settings.size("num_attention_heads"),
        settings.size("num_key_value_heads", 2),
        head_dim,
        scale=head_dim**-0.5,
        rope=settings.rope(head_dim, context),
        window=settings.optional_size("sliding_window"),
    )
    inner = settings.size("intermediate_size", 12288)
    return Layer(
        attention, FeedForward(inner, settings.activation("hidden_act", "gelu_pytorch_tanh"), gated=False)
    )


def sources(model: Transformer, settings: ConfigReader) -> WeightSources:
    bias = settings.flag("use_bias", True)
    found = {"embedding": tensor("embed_tokens.weight", model.vocabulary_size, model.width)}
    found |= layer_norm("final_norm", "norm", model.width)
    if not model.tied:
        found["head.kernel"] = tensor("lm_head.weight", model.vocabulary_size, model.width)
    for i, layer in enumerate(model.layers):
        found |= _layer_sources(f"layers.{i}", layer, model.width, bias)
    return found


def _layer_sources(name: str, layer: Layer, width: int, bias: bool) -> WeightSources:
    """Here and there layers are called alike."""
    assert isinstance(layer.feed_forward, FeedForward)
    attention, inner, own = layer.attention, layer.feed_forward.width, f"{name}.self_attn"
    parts = {"q": attention.width, "k": attention.kv_width, "v": attention.kv_width}
    found = layer_norm(f"{name}.attention_norm", f"{name}.input_layernorm", width)
    found |= layer_norm(f"{name}.feed_forward_norm", f"{name}.post_attention_layernorm", width)
    found |= products(f"{name}.qkv", {f"{own}.{p}_proj": n for p, n in parts.items()}, width, bias)
    found |= product(f"{name}.attention_output", f"{own}.o_proj", attention.width, width, bias)
    found |= product(f"{name}.inner", f"{name}.mlp.c_fc", width, inner, bias)
    found |= product(f"{name}.outer", f"{name}.mlp.c_proj", inner, width, bias)
    return found
