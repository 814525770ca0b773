"""Reads generation_config.json as the defaults of requests, and logs settings that are not applied."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from contract.manifest import GenerationDefaults
from export.errors import SourceError

FILE = "generation_config.json"

KINDS: Mapping[str, tuple[type, ...]] = {
    "temperature": (int, float),
    "top_k": (int,),
    "top_p": (int, float),
    "min_p": (int, float),
    "repetition_penalty": (int, float),
    "max_new_tokens": (int,),
}
"""The settings that are applied, with their types."""

UNAPPLIED: Mapping[str, Collection[object]] = {
    "assistant_early_exit": (),
    "bad_words_ids": ([],),
    "begin_suppress_tokens": ([],),
    "dola_layers": (),
    "encoder_repetition_penalty": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "exponential_decay_length_penalty": (),
    "force_words_ids": ([],),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "guidance_scale": (1,),
    "max_length": (),
    "max_time": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "penalty_alpha": (0,),
    "sequence_bias": ([],),
    "stop_strings": ([],),
    "suppress_tokens": ([],),
    "top_h": (),
    "typical_p": (1,),
    "watermarking_config": (),
}
"""Settings that would change generated texts and are not applied, with the values that change nothing.

Null changes nothing either.
"""

logger = logging.getLogger(__name__)


def read(config: Mapping[str, Any]) -> GenerationDefaults:
    """Returns the defaults; an explicit `do_sample: false` is temperature 0.

    Raises SourceError for a value of the wrong type.
    """
    defaults = {key: _number(key, config[key]) for key in KINDS if config.get(key) is not None}
    if config.get("do_sample") is False:
        defaults["temperature"] = 0.0
    if "max_new_tokens" in defaults:
        defaults["max_tokens"] = defaults.pop("max_new_tokens")
    if unapplied := ", ".join(f"{key} {config[key]}" for key in UNAPPLIED if _changes(config, key)):
        logger.info("%s: not applied: %s", FILE, unapplied)
    return GenerationDefaults(**defaults)


def _number(key: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, KINDS[key]):
        kind = "number" if float in KINDS[key] else "integer"
        raise SourceError(f"{FILE}: {key} must be of type {kind}, not {value!r}")
    return value


def _changes(config: Mapping[str, Any], key: str) -> bool:
    value = config.get(key)
    return value is not None and value not in UNAPPLIED[key]
