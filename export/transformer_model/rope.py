"""Rotary positions: from a configuration's settings to the transformers library's inverse frequencies.

Reads the older form (`rope_theta`, `rope_scaling`) and the newer one (`rope_parameters`, for each layer type
or for all). Arithmetic is float32 where the library's is, since positions of 100,000 and more multiply every
difference. Knows neither weights nor TensorFlow.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from export.errors import SourceError, UnsupportedError

Floats = npt.NDArray[np.float32]

# What a model type's configuration means where it is silent, unlike 10,000 and the whole head.
# Only those with a partial_rotary_factor here may turn a part of the head.
DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "gemma3_text": {"rope_theta": 1e6, "rope_local_base_freq": 1e4},
    "gpt_neox": {"partial_rotary_factor": 0.25},
    "mixtral": {"rope_theta": 1e6},
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": {"partial_rotary_factor": 1.0, "original_max_position_embeddings": 4096},
    "smollm3": {"rope_theta": 2e6},
    "stablelm": {"partial_rotary_factor": 0.25},
}

# Model types with names of their own; the usual ones mean nothing there.
NAMES = {"gpt_neox": {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}}

# What holds for all layer types, unless one of them states it.
OUTER = ("rope_theta", "partial_rotary_factor", "max_position_embeddings")

# The keys that each rope type cannot do without.
REQUIRED = {
    "default": (),
    "dynamic": ("factor",),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "longrope": ("short_factor", "long_factor"),
    "yarn": ("factor",),
}

# The keys that any rope type reads; a type passes over those of the others.
KEYS = {
    *("type", "rope_type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings"),
    *("factor", "low_freq_factor", "high_freq_factor", "short_factor", "long_factor", "attention_factor"),
    *("beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"),
    "finetuned",  # says how the checkpoint came about, in early yarn configurations
}


@dataclass(frozen=True)
class Rope:
    """Rotary positions: the first `2 * len(frequencies)` of a head's dimensions turn, the halves as pairs."""

    frequencies: tuple[float, ...]  # radians a position, float32 values
    scale: float = 1.0  # what cosines and sines are multiplied by (attention factor)


def read(settings: Mapping[str, Any], head_dim: int, context: int, layer_type: str | None = None) -> Rope:
    """The rope of a whole config.json for sequences up to `context`, whatever their split into calls.

    The library's frequencies change with the current length for two rope types; here they are fixed:
    `dynamic` is the unscaled rope, so `context` may not exceed max_position_embeddings; `longrope` takes the
    short factors for a `context` up to original_max_position_embeddings, and beyond it the long factors at
    every position, as the library does for a sequence of that length.

    `layer_type` chooses where ropes differ by layer. Raises SourceError for a missing or malformed setting,
    UnsupportedError for one that would change the result and is not implemented.
    """
    settings = _spelled_out(settings)
    model_type = settings.get("model_type")
    parameters = _parameters(settings, layer_type)
    rope_type = _rope_type(parameters, model_type)
    _check_keys(parameters, rope_type)
    parameters = {key: settings[key] for key in OUTER if key in settings} | parameters
    return TYPES[rope_type](_Given(parameters, _dims(parameters, model_type, head_dim), context))


def angles(rope: Rope, positions: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Cosines and sines, scaled, each float32 (positions, len(frequencies))."""
    turned = np.outer(np.asarray(positions, np.float32), np.array(rope.frequencies, np.float32))
    scale = np.float32(rope.scale)
    return np.cos(turned) * scale, np.sin(turned) * scale


def _spelled_out(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` under the usual names, with what the model type takes for granted."""
    model_type = settings.get("model_type", "")
    names = NAMES.get(model_type, {})
    usual = {key: value for key, value in settings.items() if key not in names}
    own = {usual_name: settings[name] for usual_name, name in names.items() if name in settings}
    return {"rope_theta": 10_000.0} | dict(DEFAULTS.get(model_type, {})) | usual | own


def _parameters(settings: Mapping[str, Any], layer_type: str | None) -> dict[str, Any]:
    """The rope parameters of one layer type, or of all."""
    scaling, parameters = _mapping(settings, "rope_scaling"), _mapping(settings, "rope_parameters")
    if "rope_local_base_freq" in settings:  # scaling is of full attention only
        local = {"rope_theta": settings["rope_local_base_freq"]}
        parameters["full_attention"] = _mapping(parameters, "full_attention") | scaling
        parameters["sliding_attention"] = local | _mapping(parameters, "sliding_attention")
    else:
        parameters = scaling or parameters
    if any(isinstance(value, Mapping) for value in parameters.values()):
        # The library looks for `truncate` beside the layer types, not in them.
        return _chosen(parameters, layer_type) | {"truncate": parameters.get("truncate", True)}
    # What the configuration itself states goes first, in the library too.
    outer = "original_max_position_embeddings"
    return parameters | ({outer: settings[outer]} if outer in settings else {})


def _mapping(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = settings.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise SourceError(f"{key} must be an object or null, not {value!r}")
    return dict(value or {})


def _chosen(layers: Mapping[str, Any], layer_type: str | None) -> dict[str, Any]:
    if layer_type is None:
        raise UnsupportedError(
            f"rope by layer type ({', '.join(layers)}) is not implemented for this model type"
        )
    if layers.get(layer_type) is None:
        raise SourceError(f"rope_parameters: {layer_type} is missing")
    return _mapping(layers, layer_type)


def _rope_type(parameters: Mapping[str, Any], model_type: str | None) -> str:
    given = parameters.get("rope_type", parameters.get("type"))
    if given is None and "factor" in parameters:
        raise SourceError("rope_scaling: rope_type is missing")
    name = "default" if given is None else given
    if name == "su" or (name == "yarn" and model_type == "phi3"):
        name = "longrope"  # as early Phi-3 configurations call it
    if name not in list(TYPES):
        raise UnsupportedError(f"rope_type = {given!r} is not implemented; supported: {', '.join(TYPES)}")
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
    """How many of the head's dimensions turn."""
    key = "partial_rotary_factor"
    part = 1.0 if parameters.get(key) is None else _number(parameters, key)
    if part != 1 and model_type is not None and key not in DEFAULTS.get(model_type, {}):
        raise UnsupportedError(f"{key} = {part} is not implemented for {model_type!r}; it must be 1")
    dims = int(head_dim * part)
    if not 0 < dims <= head_dim or dims % 2:
        raise SourceError(
            f"{key} = {part} turns {dims} of {head_dim} dimensions; they must be an even number"
        )
    return dims


def _number(parameters: Mapping[str, Any], key: str) -> float:
    if key not in parameters:
        raise SourceError(f"{key} is missing")
    value = parameters[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise SourceError(f"{key} must be a positive number, not {value!r}")
    return value


@dataclass(frozen=True)
class _Given:
    """What the frequencies are computed from."""

    parameters: Mapping[str, Any]
    dims: int
    context: int

    def number(self, key: str) -> float:
        return _number(self.parameters, key)

    def optional(self, key: str) -> float | None:
        """None for what is absent or null."""
        return None if self.parameters.get(key) is None else self.number(key)

    @property
    def trained(self) -> float:
        """The length that the model was trained with, before its context was extended."""
        return self.optional("original_max_position_embeddings") or self.number("max_position_embeddings")

    @property
    def factor(self) -> float:
        """How far the context was extended."""
        return self.optional("factor") or self.number("max_position_embeddings") / self.trained

    @property
    def periods(self) -> Floats:
        """Positions a radian, before any scaling: (dims / 2,)."""
        exponents = np.arange(0, self.dims, 2, dtype=np.float32) / np.float32(self.dims)
        base = np.float64(np.float32(self.number("rope_theta")))
        # In float64, then rounded: float32 powers differ between libraries in the last bit.
        return np.power(base, exponents.astype(np.float64)).astype(np.float32)

    @property
    def frequencies(self) -> Floats:
        """Radians a position, before any scaling."""
        return np.reciprocal(self.periods)

    def factors(self, key: str) -> Floats:
        """A list of numbers, one for each frequency."""
        values = self.parameters[key]
        if not isinstance(values, list) or len(values) != self.dims // 2:
            raise SourceError(f"{key} must be a list of {self.dims // 2} numbers, not {values!r}")
        return np.array([_number({key: value}, key) for value in values], np.float32)


def _default(given: _Given) -> Rope:
    return _rope(given.frequencies)


def _linear(given: _Given) -> Rope:
    return _rope(given.frequencies / np.float32(given.number("factor")))


def _dynamic(given: _Given) -> Rope:
    limit = given.number("max_position_embeddings")
    if given.context > limit:
        raise UnsupportedError(
            f"context = {given.context} is not implemented for rope_type 'dynamic': beyond "
            f"max_position_embeddings = {limit} every position turns anew as a sequence grows"
        )
    return _default(given)


def _llama3(given: _Given) -> Rope:
    """Long waves are slowed by the factor, short ones kept, those between mixed."""
    low, high = given.number("low_freq_factor"), given.number("high_freq_factor")
    if high <= low:
        raise SourceError(f"high_freq_factor = {high} must be greater than low_freq_factor = {low}")
    frequencies, factor = given.frequencies, np.float32(given.number("factor"))
    waves = np.float32(2 * math.pi) / frequencies
    smooth = (np.float32(given.trained) / waves - np.float32(low)) / np.float32(high - low)
    mixed = (1 - smooth) * frequencies / factor + smooth * frequencies
    kept = np.where(waves < np.float32(given.trained / high), frequencies, mixed)
    return _rope(np.where(waves > np.float32(given.trained / low), frequencies / factor, kept))


def _yarn(given: _Given) -> Rope:
    """Fast dimensions are kept, slow ones slowed by the factor, along a ramp between the two."""
    first, last = _ramp(given)
    steps = np.arange(given.dims // 2, dtype=np.float32) - np.float32(first)
    kept = 1 - np.clip(steps / np.float32(last - first), 0, 1)
    slowed = np.reciprocal(np.float32(given.factor) * given.periods)
    return _rope(slowed * (1 - kept) + given.frequencies * kept, _yarn_scale(given))


def _ramp(given: _Given) -> tuple[float, float]:
    """Between the dimensions that turn `beta_fast` and `beta_slow` times within the trained length."""

    def dimension(turns: float) -> float:
        wave = math.log(given.trained / (turns * 2 * math.pi))
        return given.dims * wave / (2 * math.log(given.number("rope_theta")))

    first = dimension(given.optional("beta_fast") or 32)
    last = dimension(given.optional("beta_slow") or 1)
    if given.parameters.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, given.dims - 1)
    return first, last + 0.001 if first == last else last


def _yarn_scale(given: _Given) -> float:
    growth = 0.1 * math.log(max(given.factor, 1))
    above, below = given.optional("mscale"), given.optional("mscale_all_dim")
    ratio = (growth * above + 1) / (growth * below + 1) if above and below else growth + 1
    return given.optional("attention_factor") or ratio


def _longrope(given: _Given) -> Rope:
    factors = given.factors("long_factor" if given.context > given.trained else "short_factor")
    scale = math.sqrt(1 + math.log(max(given.factor, 1)) / math.log(given.trained))
    return _rope(np.reciprocal(factors * given.periods), given.optional("attention_factor") or scale)


def _rope(frequencies: Floats, scale: float = 1.0) -> Rope:
    return Rope(tuple(frequencies.tolist()), float(scale))


TYPES: Mapping[str, Callable[[_Given], Rope]] = {
    "default": _default,
    "dynamic": _dynamic,
    "linear": _linear,
    "llama3": _llama3,
    "longrope": _longrope,
    "yarn": _yarn,
}
