"""Gemma 3, text only: Gemma 2 with norms of queries and keys, and a rope for each layer type."""

from dataclasses import replace

from export.checkpoints.config_reader import FULL, SLIDING, ConfigReader
from export.hf.families import gemma2, qwen3
from export.transformer_model.description import Transformer

MODEL_TYPE = "gemma3_text"
PREFIX = gemma2.PREFIX
NOT_WEIGHTS = gemma2.NOT_WEIGHTS
sources = gemma2.sources


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 131_072)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    # The transformers library reads the key and does not apply it.
    config.only("attn_logit_softcapping", None)
    # Written beside `layer_types`, which were derived from it.
    config.unused("_sliding_window_pattern")
    full, sliding = (
        qwen3.normed(config, gemma2.attention(config, context, layer_type)) for layer_type in (FULL, SLIDING)
    )
    attentions = {FULL: full, SLIDING: replace(sliding, window=gemma2.window(config))}
    full_every = config.size("sliding_window_pattern", 6)
    return gemma2.transformer(config, context, attentions, full_every, logit_soft_cap=None)
