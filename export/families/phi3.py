"""Phi 3 and 4: Llama with fused products, windows, and ropes for two lengths of text or a part of a head."""

from export.description import Attention, FeedForward, Layer, Norm, Transformer
from export.families import llama
from export.families.llama import end_sources, norm_sources
from export.settings import Settings
from export.source import Sources, linear

MODEL_TYPE = "phi3"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(settings: Settings) -> int:
    return settings.size("max_position_embeddings", 4096)


def describe(settings: Settings, context: int) -> Transformer:
    # Published files have them; the library does not read them.
    for key in ("attention_bias", "mlp_bias", "lm_head_bias"):
        settings.only(key, False)
    for key in ("full_attn_mod", "interpolate_factor"):
        settings.only(key, 1)
    heads = settings.size("num_attention_heads", 32)
    head_dim = settings.optional_size("head_dim") or settings.divided("hidden_size", "num_attention_heads")
    attention = Attention(
        heads,
        settings.size("num_key_value_heads", heads),
        head_dim,
        scale=head_dim**-0.5,
        rope=settings.rope(head_dim, context),
        window=settings.optional_size("sliding_window"),
    )
    feed_forward = FeedForward(
        settings.size("intermediate_size"), settings.activation("hidden_act", "silu"), gated=True
    )
    return Transformer(
        vocabulary_size=settings.size("vocab_size"),
        context_length=context,
        width=settings.size("hidden_size"),
        norm=Norm("rms", settings.number("rms_norm_eps", 1e-5)),
        layers=(Layer(attention, feed_forward),) * settings.size("num_hidden_layers"),
        tied=settings.flag("tie_word_embeddings", False),
    )


def sources(model: Transformer, settings: Settings) -> Sources:  # noqa: ARG001
    found = end_sources(model)
    for i, layer in enumerate(model.layers):
        found |= norm_sources(i, llama.NORMS, model.width) | _products(f"layers.{i}", layer, model.width)
    return found


def _products(prefix: str, layer: Layer, width: int) -> Sources:
    assert isinstance(layer.feed_forward, FeedForward)
    attention, inner = layer.attention, layer.feed_forward.width
    products = {
        "qkv": ("self_attn.qkv_proj", width, attention.width + 2 * attention.kv_width),
        "attention_output": ("self_attn.o_proj", attention.width, width),
        "inner": ("mlp.gate_up_proj", width, 2 * inner),
        "outer": ("mlp.down_proj", inner, width),
    }
    return {
        f"{prefix}.{name}.kernel": linear(f"{prefix}.{own}.weight", inputs, outputs)
        for name, (own, inputs, outputs) in products.items()
    }
