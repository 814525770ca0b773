"""Gemma 3, text alone: Gemma 2 with norms of queries and keys, and ropes that differ by layer type."""

from dataclasses import replace

from export.description import Norm, Transformer
from export.families import gemma, gemma2
from export.settings import FULL, SLIDING, Settings
from export.source import Sources, tensor

MODEL_TYPE = "gemma3_text"
PREFIX = gemma.PREFIX
NOT_WEIGHTS = gemma.NOT_WEIGHTS


def context(settings: Settings) -> int:
    return settings.size("max_position_embeddings", 131_072)


def describe(settings: Settings, context: int) -> Transformer:
    # The library reads it and does not apply it.
    settings.only("attn_logit_softcapping", None)
    # What its later versions write beside the layer types that came of it.
    settings.unused("_sliding_window_pattern")
    plain = gemma2.attention(settings)
    ropes = {kind: settings.rope(plain.head_dim, context, kind) for kind in (FULL, SLIDING)}
    norm = Norm("rms", settings.number("rms_norm_eps", 1e-6))
    windows = {FULL: None, SLIDING: gemma2.window(settings)}
    attentions = {
        kind: replace(plain, rope=ropes[kind], window=windows[kind], query_key_norm=norm) for kind in ropes
    }
    layers = gemma2.alternating(settings, attentions, settings.size("sliding_window_pattern", 6))
    return gemma.transformer(settings, context, layers, settings.optional_number("final_logit_softcapping"))


def sources(model: Transformer, settings: Settings) -> Sources:
    found = gemma.layered_sources(model, settings, gemma2.NORMS)
    for i in range(len(model.layers)):
        for name, own in {"query_norm": "q_norm", "key_norm": "k_norm"}.items():
            weight = tensor(f"layers.{i}.self_attn.{own}.weight", model.head_dim)
            found[f"layers.{i}.{name}.scale"] = weight
    return gemma.scaled_by_one_more(found)
