"""GPT-2's forward pass in numpy and float64: one sequence, no cache, every position's logits."""

from math import erf, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from contract.tensors import Array

if TYPE_CHECKING:
    from export.gpt2 import Config


def logits(config: "Config", weights: dict[str, npt.NDArray[Any]], ids: npt.NDArray[np.int32]) -> Array:
    """Logits (time, vocabulary) of `ids` (time,)."""
    wte = weights["wte.weight"].astype(np.float64)
    x = wte[ids] + weights["wpe.weight"][: len(ids)]
    for i in range(config.n_layer):
        own = {
            name.removeprefix(f"h.{i}."): value.astype(np.float64)
            for name, value in weights.items()
            if name.startswith(f"h.{i}.")
        }
        x = x + _attention(config, own, _norm(config, own, "ln_1", x))
        x = x + _feed_forward(config, own, _norm(config, own, "ln_2", x))
    return _norm(config, weights, "ln_f", x) @ wte.T


def _attention(config: "Config", own: dict[str, Array], x: Array) -> Array:
    time, width = x.shape
    q, k, v = np.split(_dense(own, "attn.c_attn", x), 3, axis=1)
    unseen = np.triu(np.full((time, time), -np.inf), 1)
    mixed = []
    for head in np.split(np.arange(width), config.n_head):
        scores = q[:, head] @ k[:, head].T / sqrt(len(head)) + unseen
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed.append(likely / likely.sum(axis=1, keepdims=True) @ v[:, head])
    return _dense(own, "attn.c_proj", np.concatenate(mixed, axis=1))


def _feed_forward(config: "Config", own: dict[str, Array], x: Array) -> Array:
    inner = _ACTIVATIONS[config.activation_function](_dense(own, "mlp.c_fc", x))
    return _dense(own, "mlp.c_proj", inner)


def _dense(own: dict[str, Array], name: str, x: Array) -> Array:
    out: Array = x @ own[f"{name}.weight"] + own[f"{name}.bias"]
    return out


def _norm(config: "Config", own: dict[str, npt.NDArray[Any]], name: str, x: Array) -> Array:
    centred: Array = x - x.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + config.layer_norm_epsilon)
    out: Array = centred / spread * own[f"{name}.weight"] + own[f"{name}.bias"]
    return out


def _gelu_tanh(x: Array) -> Array:
    out: Array = 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    return out


def _gelu(x: Array) -> Array:
    out: Array = 0.5 * x * (1 + np.vectorize(erf)(x / sqrt(2)))
    return out


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


_ACTIVATIONS = {"gelu_new": _gelu_tanh, "gelu_pytorch_tanh": _gelu_tanh, "gelu": _gelu, "relu": _relu}
