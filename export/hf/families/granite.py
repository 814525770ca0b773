"""Granite 3: Llama with factors for the embeddings, the scores, the residuals and the logits."""

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


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    # Without the key, scores are not scaled.
    scale = config.number("attention_multiplier", 1.0)
    attention = replace(llama.attention(config, context), scale=scale)
    layer = Layer(attention, llama.feed_forward(config))
    model = llama.transformer(config, context, (layer,) * config.size("num_hidden_layers"))
    return replace(
        model,
        embedding_scale=config.number("embedding_multiplier", 1.0),
        residual_scale=config.number("residual_multiplier", 1.0),
        logit_scale=1 / _divisor(config),
    )


def _divisor(config: ConfigReader) -> float:
    divisor = config.number("logits_scaling", 1.0)
    if divisor == 0:
        raise SourceError("logits_scaling must not be 0")
    return divisor
