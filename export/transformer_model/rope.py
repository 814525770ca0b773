"""Rotary positions: computes the frequencies of the transformers library from a model's configuration.

Reads the older form (`rope_theta`, `rope_scaling`) and the newer one (`rope_parameters`, for each layer type
or for all). Arithmetic is float32 where the library's is, since a position of 100,000 multiplies every
difference by as much. Uses numpy alone.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from export.errors import SourceError, UnsupportedError

Float32Array: TypeAlias = npt.NDArray[np.float32]

# The defaults of model types that differ from rope_theta = 10,000 and rotating the whole head.
# Only the types with a partial_rotary_factor here may rotate a part of the head.
DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "gemma3_text": {"rope_theta": 1e6, "rope_local_base_freq": 1e4},
    "gpt_neox": {"partial_rotary_factor": 0.25},
    "mixtral": {"rope_theta": 1e6},
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": {"partial_rotary_factor": 1.0, "original_max_position_embeddings": 4096},
    "smollm3": {"rope_theta": 2e6},
    "stablelm": {"partial_rotary_factor": 0.25},
}

# The names of model types that call these keys otherwise; they ignore the usual names.
NAMES = {"gpt_neox": {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}}

# Keys that apply to all layer types, unless the parameters of a layer type contain them.
OUTER = ("rope_theta", "partial_rotary_factor", "max_position_embeddings")

# The keys that each rope type needs.
REQUIRED = {
    "default": (),
    "dynamic": ("factor",),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "longrope": ("short_factor", "long_factor"),
    "yarn": ("factor",),
}

# The keys that some rope type reads; a rope type ignores those of the others.
KEYS = {
    *("type", "rope_type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings"),
    *("factor", "low_freq_factor", "high_freq_factor", "short_factor", "long_factor", "attention_factor"),
    *("beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"),
    "finetuned",  # in early yarn configurations: how the checkpoint was trained; no effect on the result
}


@dataclass(frozen=True)
class Rope:
    """Rotary positions of the first `2 * len(frequencies)` dimensions of a head.

    Dimension i and dimension i + len(frequencies) form a pair, which is rotated by position * frequencies[i].
    """

    frequencies: tuple[float, ...]
    """Radians per position; float32 values."""
    scale: float = 1.0
    """The factor of cosines and sines (the library's attention factor)."""


def read(config: Mapping[str, Any], head_dim: int, context: int, layer_type: str | None = None) -> Rope:
    """Returns the rope that a config.json describes, for sequences of up to `context` tokens.

    The library's frequencies depend on the current length for two rope types. Here they are fixed, so that
    the result does not depend on how a sequence is split into calls: `dynamic` is the unscaled rope, so
    `context` may not exceed max_position_embeddings; `longrope` uses the short factors for a `context` up to
    original_max_position_embeddings, and for a longer one the long factors at every position, as the library
    does for a sequence of that length.

    `layer_type` selects the rope where layers have different ones. Raises SourceError for a missing or
    malformed value, UnsupportedError for one that would change the result and is not implemented.
    """
    config = _with_usual_names(config)
    model_type = config.get("model_type")
    parameters = _parameters(config, layer_type)
    rope_type = _rope_type(parameters, model_type)
    _check_keys(parameters, rope_type)
    parameters = {key: config[key] for key in OUTER if key in config} | parameters
    return TYPES[rope_type](_RopeParameters(parameters, _dims(parameters, model_type, head_dim), context))


def angles(rope: Rope, positions: npt.ArrayLike) -> tuple[Float32Array, Float32Array]:
    """Returns scaled cosines and sines at `positions`, each float32 (positions, len(frequencies))."""
    radians = np.outer(np.asarray(positions, np.float32), np.array(rope.frequencies, np.float32))
    scale = np.float32(rope.scale)
    return np.cos(radians) * scale, np.sin(radians) * scale


def _with_usual_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `config` with the usual names of the keys, and with the defaults of its model type."""
    model_type = config.get("model_type", "")
    names = NAMES.get(model_type, {})
    usual = {key: value for key, value in config.items() if key not in names}
    renamed = {usual_name: config[name] for usual_name, name in names.items() if name in config}
    return {"rope_theta": 10_000.0} | dict(DEFAULTS.get(model_type, {})) | usual | renamed


def _parameters(config: Mapping[str, Any], layer_type: str | None) -> dict[str, Any]:
    """Returns the rope parameters of `layer_type`, or those of all layers where they do not differ."""
    scaling, parameters = _mapping(config, "rope_scaling"), _mapping(config, "rope_parameters")
    if "rope_local_base_freq" in config:  # scaling applies to full attention only
        local = {"rope_theta": config["rope_local_base_freq"]}
        parameters["full_attention"] = _mapping(parameters, "full_attention") | scaling
        parameters["sliding_attention"] = local | _mapping(parameters, "sliding_attention")
    else:
        parameters = scaling or parameters
    if any(isinstance(value, Mapping) for value in parameters.values()):
        # The library looks for `truncate` beside the layer types, not in them.
        return _of_layer_type(parameters, layer_type) | {"truncate": parameters.get("truncate", True)}
    # The value beside the rope parameters takes precedence over the one inside, as in the library.
    outer = "original_max_position_embeddings"
    return parameters | ({outer: config[outer]} if outer in config else {})


def _mapping(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = config.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise SourceError(f"{key} must be an object or null, not {value!r}")
    return dict(value or {})


def _of_layer_type(layers: Mapping[str, Any], layer_type: str | None) -> dict[str, Any]:
    if layer_type is None:
        raise UnsupportedError(
            f"rope by layer type ({', '.join(layers)}) is not implemented for this model type"
        )
    if layers.get(layer_type) is None:
        raise SourceError(f"rope_parameters: {layer_type} is missing")
    return _mapping(layers, layer_type)


def _rope_type(parameters: Mapping[str, Any], model_type: str | None) -> str:
    stated = parameters.get("rope_type", parameters.get("type"))
    if stated is None and "factor" in parameters:
        raise SourceError("rope_scaling: rope_type is missing")
    name = "default" if stated is None else stated
    if name == "su" or (name == "yarn" and model_type == "phi3"):
        name = "longrope"  # early Phi-3 configurations use these names for it
    if name not in list(TYPES):
        raise UnsupportedError(f"rope_type = {stated!r} is not implemented; supported: {', '.join(TYPES)}")
    return name


def _check_keys(parameters: Mapping[str, Any], rope_type: str) -> None:
    for key in REQUIRED[rope_type]:
        if key not in parameters:
            raise SourceError(f"rope_type = {rope_type!r}: {key} is missing")
    for key, value in parameters.items():
        if key not in KEYS and value is not None:
            raise UnsupportedError(
                f"rope_type = {rope_type!r}: {key} = {value!r} is not implemented; "
                f"supported: {', '.join(sorted(KEYS))}"
            )


def _dims(parameters: Mapping[str, Any], model_type: str | None, head_dim: int) -> int:
    """Returns how many dimensions of a head are rotated."""
    key = "partial_rotary_factor"
    part = 1.0 if parameters.get(key) is None else _positive_number(parameters, key)
    if part != 1 and model_type is not None and key not in DEFAULTS.get(model_type, {}):
        raise UnsupportedError(f"{key} = {part} is not implemented for {model_type!r}; it must be 1")
    dims = int(head_dim * part)
    if not 0 < dims <= head_dim or dims % 2:
        raise SourceError(
            f"{key} = {part} rotates {dims} of {head_dim} dimensions; it must be an even number of them"
        )
    return dims


def _positive_number(parameters: Mapping[str, Any], key: str) -> float:
    if key not in parameters:
        raise SourceError(f"{key} is missing")
    value = parameters[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise SourceError(f"{key} must be a positive number, not {value!r}")
    return value


@dataclass(frozen=True)
class _RopeParameters:
    """The parameters that the frequencies are computed from; SourceError where one is malformed."""

    values: Mapping[str, Any]
    dims: int
    """How many dimensions of a head are rotated."""
    context: int

    def number(self, key: str) -> float:
        """Returns a positive number, which must be there."""
        return _positive_number(self.values, key)

    def optional(self, key: str) -> float | None:
        """Returns a positive number, or None if it is absent or null."""
        return None if self.values.get(key) is None else self.number(key)

    @property
    def trained(self) -> float:
        """The context length that the model was trained with, before it was extended."""
        return self.optional("original_max_position_embeddings") or self.number("max_position_embeddings")

    @property
    def factor(self) -> float:
        """The factor by which the context was extended."""
        return self.optional("factor") or self.number("max_position_embeddings") / self.trained

    @property
    def periods(self) -> Float32Array:
        """Positions per radian, before any scaling: (dims / 2,)."""
        exponents = np.arange(0, self.dims, 2, dtype=np.float32) / np.float32(self.dims)
        base = np.float64(np.float32(self.number("rope_theta")))
        # Computed in float64, then rounded: float32 powers differ between libraries in the last bit.
        return np.power(base, exponents.astype(np.float64)).astype(np.float32)

    @property
    def frequencies(self) -> Float32Array:
        """Radians per position, before any scaling: (dims / 2,)."""
        return np.reciprocal(self.periods)

    def factors(self, key: str) -> Float32Array:
        """Returns a list of positive numbers as (dims / 2,): one for each frequency."""
        found = self.values[key]
        if not isinstance(found, list) or len(found) != self.dims // 2:
            raise SourceError(f"{key} must be a list of {self.dims // 2} numbers, not {found!r}")
        return np.array([_positive_number({key: value}, key) for value in found], np.float32)


def _default(parameters: _RopeParameters) -> Rope:
    return _rope(parameters.frequencies)


def _linear(parameters: _RopeParameters) -> Rope:
    return _rope(parameters.frequencies / np.float32(parameters.number("factor")))


def _dynamic(parameters: _RopeParameters) -> Rope:
    limit = parameters.number("max_position_embeddings")
    if parameters.context > limit:
        raise UnsupportedError(
            f"context = {parameters.context} is not implemented for rope_type 'dynamic': beyond "
            f"max_position_embeddings = {limit} the frequencies change as a sequence grows"
        )
    return _default(parameters)


def _llama3(parameters: _RopeParameters) -> Rope:
    """Divides low frequencies by the factor, keeps high ones, and interpolates in between."""
    low, high = parameters.number("low_freq_factor"), parameters.number("high_freq_factor")
    if high <= low:
        raise SourceError(f"high_freq_factor = {high} must be greater than low_freq_factor = {low}")
    frequencies, factor = parameters.frequencies, np.float32(parameters.number("factor"))
    waves = np.float32(2 * math.pi) / frequencies
    smooth = (np.float32(parameters.trained) / waves - np.float32(low)) / np.float32(high - low)
    mixed = (1 - smooth) * frequencies / factor + smooth * frequencies
    kept = np.where(waves < np.float32(parameters.trained / high), frequencies, mixed)
    return _rope(np.where(waves > np.float32(parameters.trained / low), frequencies / factor, kept))


def _yarn(parameters: _RopeParameters) -> Rope:
    """Keeps high frequencies, divides low ones by the factor, with a linear ramp in between."""
    first, last = _ramp(parameters)
    steps = np.arange(parameters.dims // 2, dtype=np.float32) - np.float32(first)
    kept = 1 - np.clip(steps / np.float32(last - first), 0, 1)
    slowed = np.reciprocal(np.float32(parameters.factor) * parameters.periods)
    return _rope(slowed * (1 - kept) + parameters.frequencies * kept, _yarn_scale(parameters))


def _ramp(parameters: _RopeParameters) -> tuple[float, float]:
    """Returns the pairs that rotate `beta_fast` and `beta_slow` times within the trained length."""

    def dimension(rotations: float) -> float:
        wave = math.log(parameters.trained / (rotations * 2 * math.pi))
        return parameters.dims * wave / (2 * math.log(parameters.number("rope_theta")))

    first = dimension(parameters.optional("beta_fast") or 32)
    last = dimension(parameters.optional("beta_slow") or 1)
    if parameters.values.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, parameters.dims - 1)
    return first, last + 0.001 if first == last else last


def _yarn_scale(parameters: _RopeParameters) -> float:
    """Returns the factor of cosines and sines."""
    growth = 0.1 * math.log(max(parameters.factor, 1))
    above, below = parameters.optional("mscale"), parameters.optional("mscale_all_dim")
    ratio = (growth * above + 1) / (growth * below + 1) if above and below else growth + 1
    return parameters.optional("attention_factor") or ratio


def _longrope(parameters: _RopeParameters) -> Rope:
    factors = parameters.factors("long_factor" if parameters.context > parameters.trained else "short_factor")
    scale = math.sqrt(1 + math.log(max(parameters.factor, 1)) / math.log(parameters.trained))
    return _rope(
        np.reciprocal(factors * parameters.periods), parameters.optional("attention_factor") or scale
    )


def _rope(frequencies: Float32Array, scale: float = 1.0) -> Rope:
    return Rope(tuple(frequencies.tolist()), float(scale))


TYPES: Mapping[str, Callable[[_RopeParameters], Rope]] = {
    "default": _default,
    "dynamic": _dynamic,
    "linear": _linear,
    "llama3": _llama3,
    "longrope": _longrope,
    "yarn": _yarn,
}
