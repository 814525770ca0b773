"""Reads a checkpoint's config.json strictly: an unknown key or value is an error, never a different model.

Every value that is read is checked, and its key is marked as known; `finish` refuses the keys that remain.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal

from export.checkpoints.ignored_keys import HARMLESS
from export.errors import SourceError, UnsupportedError
from export.transformer_model import rope
from export.transformer_model.rope import Rope

ACTIVATIONS: Mapping[str, Literal["gelu", "gelu_tanh", "relu", "silu"]] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""The activations by Hugging Face's names."""

FULL, SLIDING = "full_attention", "sliding_attention"
"""Hugging Face's names of layer types; sliding attention has a window."""


class ConfigReader:
    """A strict reader of one configuration.

    The methods take a key and return its value. They raise SourceError for a value of the wrong type or a
    missing key without default, UnsupportedError for a value that is not implemented.
    """

    def __init__(self, raw: Mapping[str, Any], path: object, ignored: Collection[str] = ()) -> None:
        """`path` is for messages; `ignored` are keys that the user declares to be without effect."""
        self.raw = raw
        self._path = path
        self._known = set(HARMLESS) | set(ignored)

    def size(self, key: str, default: int | None = None, null: int | None = None) -> int:
        """Returns a positive integer: `default` for a missing key, `null` (by default `default`) for null."""
        value = self._get(key, default, default if null is None else null)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SourceError(f"{self._path}: {key} must be a positive integer, not {value!r}")
        return value

    def optional_size(self, key: str, default: int | None = None) -> int | None:
        """Returns a positive integer, or None for null; `default` is for a missing key."""
        return None if self._get(key, default, None) is None else self.size(key, default)

    def number(self, key: str, default: float | None = None) -> float:
        """Returns a finite number; `default` is for a missing key and for null."""
        value = self._get(key, default, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise SourceError(f"{self._path}: {key} must be a finite number, not {value!r}")
        return float(value)

    def optional_number(self, key: str, default: float | None = None) -> float | None:
        """Returns a finite number, or None for null; `default` is for a missing key."""
        return None if self._get(key, default, None) is None else self.number(key, default)

    def flag(self, key: str, default: bool) -> bool:
        """Returns a boolean; `default` is for a missing key and for null."""
        value = self._get(key, default, default)
        if not isinstance(value, bool):
            raise SourceError(f"{self._path}: {key} must be true or false, not {value!r}")
        return value

    def names(self, key: str, allowed: Collection[str]) -> tuple[str, ...] | None:
        """Returns a list of the `allowed` names, or None when there is none."""
        value = self._get(key, None, None)
        if value is None:
            return None
        if not isinstance(value, list):
            raise SourceError(f"{self._path}: {key} must be a list, not {value!r}")
        for each in value:
            if each not in allowed:
                raise UnsupportedError(f"{key} has {each!r}; supported: {', '.join(allowed)}")
        return tuple(value)

    def layer_types(self, layers: int) -> tuple[str, ...] | None:
        """Returns FULL or SLIDING for each of `layers` layers, or None when there is no such list."""
        types = self.names("layer_types", (FULL, SLIDING))
        if types is not None and len(types) != layers:
            raise SourceError(f"layer_types has {len(types)} entries for num_hidden_layers = {layers}")
        return types

    def integers(self, key: str) -> tuple[int, ...] | None:
        """Returns a list of integers, or None when there is none."""
        value = self._get(key, None, None)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
            raise SourceError(f"{self._path}: {key} must be a list of integers, not {value!r}")
        return tuple(value)

    def activation(
        self, key: str, default: str | None = None
    ) -> Literal["gelu", "gelu_tanh", "relu", "silu"]:
        """Returns an activation; `default` is one of Hugging Face's names."""
        value = self._get(key, default, default)
        if value not in ACTIVATIONS:
            raise UnsupportedError(
                f"{key} = {value!r} is not implemented; supported: {', '.join(ACTIVATIONS)}"
            )
        return ACTIVATIONS[value]

    def only(self, key: str, value: Any) -> None:
        """Raises UnsupportedError unless the value is `value`, the one that is implemented, or absent."""
        found = self._get(key, value, value)
        if found != value:
            raise UnsupportedError(f"{key} = {found!r} is not implemented; it must be {value!r}")

    def unused(self, *keys: str) -> None:
        """Marks keys as known that have no effect in this family."""
        self._known.update(keys)

    def divided(self, whole: str, parts: str) -> int:
        """Returns the quotient of two sizes; raises SourceError when it is not an integer."""
        if self.size(whole) % self.size(parts):
            raise SourceError(f"{whole} = {self.raw[whole]} is not a multiple of {parts} = {self.raw[parts]}")
        return self.size(whole) // self.size(parts)

    def rope(self, head_dim: int, context: int, layer_type: str | None = None) -> Rope:
        """Returns the rope for heads of `head_dim`; `layer_type` selects it where it differs by layer."""
        self.unused(
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
            "rope_local_base_freq",
            "partial_rotary_factor",
            "rotary_pct",
            "rotary_emb_base",
            "max_position_embeddings",
            "original_max_position_embeddings",
        )
        return rope.read(self.raw, head_dim, context, layer_type)

    def finish(self) -> None:
        """Raises UnsupportedError for a key that was not read: it may change what the model computes."""
        unknown = [key for key, value in self.raw.items() if key not in self._known and value is not None]
        if unknown:
            raise UnsupportedError(
                f"{self._path}: {unknown[0]} = {self.raw[unknown[0]]!r} is not known for this model_type; "
                f"if it does not change the model's results, export with --ignore {unknown[0]}"
            )

    def _get(self, key: str, default: Any, null: Any) -> Any:
        self._known.add(key)
        value = self.raw.get(key, default)
        return null if value is None else value
