"""Gemma: Llama with scaled embeddings, and norms whose scales are stored less one.

Gemma 2 and 3 are this with other layers: they use what is public here.
"""

import numpy as np

from export.description import Activation, Attention, FeedForward, Layer, Norm, Transformer
from export.families import llama
from export.families.llama import end_sources, feed_forward_sources, layer_sources, norm_sources
from export.settings import Settings
from export.source import Array, Sources

MODEL_TYPE = "gemma"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(settings: Settings) -> int:
    return settings.size("max_position_embeddings", 8192)


def describe(settings: Settings, context: int) -> Transformer:
    settings.only("use_bidirectional_attention", False)
    settings.unused("hidden_activation")
    head_dim = settings.size("head_dim", 256)
    attention = Attention(
        settings.size("num_attention_heads", 16),
        settings.size("num_key_value_heads", 16),
        head_dim,
        scale=head_dim**-0.5,
        rope=settings.rope(head_dim, context),
    )
    feed_forward = FeedForward(settings.size("intermediate_size"), _activation(settings), gated=True)
    layer = Layer(attention, feed_forward)
    return transformer(settings, context, (layer,) * settings.size("num_hidden_layers"))


def _activation(settings: Settings) -> Activation:
    # The first published files say "gelu" and mean its approximation.
    given = settings.activation("hidden_act", "gelu_pytorch_tanh")
    return "gelu_tanh" if given == "gelu" else given


def transformer(
    settings: Settings, context: int, layers: tuple[Layer, ...], logit_soft_cap: float | None = None
) -> Transformer:
    """Of these layers."""
    width = settings.size("hidden_size")
    return Transformer(
        vocabulary_size=settings.size("vocab_size"),
        context_length=context,
        width=width,
        norm=Norm("rms", settings.number("rms_norm_eps", 1e-6)),
        layers=layers,
        tied=settings.flag("tie_word_embeddings", True),
        embedding_scale=width**0.5,
        logit_soft_cap=logit_soft_cap,
    )


def sources(model: Transformer, settings: Settings) -> Sources:
    return scaled_by_one_more(layered_sources(model, settings, llama.NORMS))


def layered_sources(model: Transformer, settings: Settings, norms: dict[str, str]) -> Sources:
    """With `norms` in each layer, by their names here and there."""
    biases = ("qkv", "attention_output") if settings.flag("attention_bias", False) else ()
    found = end_sources(model)
    for i, layer in enumerate(model.layers):
        found |= layer_sources(i, layer, model.width, biases)
        found |= feed_forward_sources(i, layer, model.width)
        found |= norm_sources(i, norms, model.width)
    return found


def scaled_by_one_more(found: Sources) -> Sources:
    """With norms that scale by one more than what is stored."""
    return {
        name: source.then(_one_more) if name.endswith(".scale") else source for name, source in found.items()
    }


def _one_more(weight: Array) -> Array:
    return 1 + weight.astype(np.float32)
