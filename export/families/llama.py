"""Llama 2 and 3: RMS norms, rotary positions, gated feed-forward; grouped heads.

Mistral, Qwen, Granite and others are this with other settings: they use `layer_sources` and `end_sources`.
"""

from export.description import Attention, FeedForward, Layer, Norm, Transformer
from export.settings import Settings
from export.source import Sources, joined, linear, tensor

MODEL_TYPE = "llama"
PREFIX = "model."
NOT_WEIGHTS = (".rotary_emb.inv_freq",)


def context(settings: Settings) -> int:
    return settings.size("max_position_embeddings", 2048)


def describe(settings: Settings, context: int) -> Transformer:
    heads = settings.size("num_attention_heads")
    head_dim = settings.optional_size("head_dim") or settings.divided("hidden_size", "num_attention_heads")
    attention = Attention(
        heads,
        settings.size("num_key_value_heads", heads),
        head_dim,
        scale=head_dim**-0.5,
        rope=settings.rope(head_dim, context),
    )
    feed_forward = FeedForward(
        settings.size("intermediate_size"), settings.activation("hidden_act", "silu"), gated=True
    )
    return Transformer(
        vocabulary_size=settings.size("vocab_size"),
        context_length=context,
        width=settings.size("hidden_size"),
        norm=Norm("rms", settings.number("rms_norm_eps", 1e-6)),
        layers=(Layer(attention, feed_forward),) * settings.size("num_hidden_layers"),
        tied=settings.flag("tie_word_embeddings", False),
    )


def sources(model: Transformer, settings: Settings) -> Sources:
    attention = settings.flag("attention_bias", False)
    feed_forward = settings.flag("mlp_bias", False)
    found = end_sources(model)
    for i, layer in enumerate(model.layers):
        found |= layer_sources(i, layer, model.width, ("qkv", "attention_output") if attention else ())
        found |= feed_forward_sources(i, layer, model.width, feed_forward)
        found |= norm_sources(i, NORMS, model.width)
    return found


NORMS = {"attention_norm": "input_layernorm", "feed_forward_norm": "post_attention_layernorm"}


def end_sources(model: Transformer) -> Sources:
    """What comes before and after the layers."""
    found = {
        "embedding": tensor("embed_tokens.weight", model.vocabulary_size, model.width),
        "final_norm.scale": tensor("norm.weight", model.width),
    }
    if not model.tied:
        found["head.kernel"] = tensor("lm_head.weight", model.vocabulary_size, model.width)
    return found


def norm_sources(index: int, names: dict[str, str], width: int) -> Sources:
    """The norms of a layer, by their names here and there."""
    return {
        f"layers.{index}.{name}.scale": tensor(f"layers.{index}.{own}.weight", width)
        for name, own in names.items()
    }


def layer_sources(index: int, layer: Layer, width: int, biases: tuple[str, ...] = ()) -> Sources:
    """Attention's products; those that `biases` names have some."""
    here, there, attention = f"layers.{index}", f"layers.{index}.self_attn", layer.attention
    parts = {"q": attention.width, "k": attention.kv_width, "v": attention.kv_width}
    found = {
        f"{here}.qkv.kernel": joined(
            *(linear(f"{there}.{p}_proj.weight", width, n) for p, n in parts.items())
        ),
        f"{here}.attention_output.kernel": linear(f"{there}.o_proj.weight", attention.width, width),
    }
    if "qkv" in biases:
        found[f"{here}.qkv.bias"] = joined(*(tensor(f"{there}.{p}_proj.bias", n) for p, n in parts.items()))
    if "attention_output" in biases:
        found[f"{here}.attention_output.bias"] = tensor(f"{there}.o_proj.bias", width)
    return found


def feed_forward_sources(index: int, layer: Layer, width: int, biases: bool = False) -> Sources:
    """The gated feed-forward's products."""
    assert isinstance(layer.feed_forward, FeedForward)
    here, there, inner = f"layers.{index}", f"layers.{index}.mlp", layer.feed_forward.width
    found = {
        f"{here}.inner.kernel": joined(
            *(linear(f"{there}.{part}_proj.weight", width, inner) for part in ("gate", "up"))
        ),
        f"{here}.outer.kernel": linear(f"{there}.down_proj.weight", inner, width),
    }
    if biases:
        found[f"{here}.inner.bias"] = joined(
            *(tensor(f"{there}.{part}_proj.bias", inner) for part in ("gate", "up"))
        )
        found[f"{here}.outer.bias"] = tensor(f"{there}.down_proj.bias", width)
    return found
