"""Granite 3: Llama with four factors, of embeddings, scores, residuals and logits."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError
from export.hf.families import llama
from export.transformer_model.description import Layer, Transformer

MODEL_TYPE = "granite"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS
context = llama.context
sources = llama.sources


def describe(settings: ConfigReader, context: int) -> Transformer:
    # Without the key, scores are not scaled at all.
    scale = settings.number("attention_multiplier", 1.0)
    attention = replace(llama.attention(settings, context), scale=scale)
    layer = Layer(attention, llama.feed_forward(settings))
    model = llama.transformer(settings, context, (layer,) * settings.size("num_hidden_layers"))
    return replace(
        model,
        embedding_scale=settings.number("embedding_multiplier", 1.0),
        residual_scale=settings.number("residual_multiplier", 1.0),
        logit_scale=1 / _divisor(settings),
    )


def _divisor(settings: ConfigReader) -> float:
    divisor = settings.number("logits_scaling", 1.0)
    if divisor == 0:
        raise SourceError("logits_scaling must not be 0")
    return divisor
