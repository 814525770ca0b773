"""The LSTM language model in numpy and float64: the logits of one sequence, step by step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from export.reference import Float64Array


@dataclass(frozen=True)
class LstmConfig:
    """The shape of one LSTM language model."""

    vocab_size: int
    embedding_size: int
    hidden_size: int
    n_layer: int
    context_length: int
    """A limit for serving; the model itself has none."""


def logits(
    config: LstmConfig, weights: dict[str, npt.NDArray[Any]], ids: npt.NDArray[np.int32]
) -> Float64Array:
    """Returns the logits (time, vocabulary) after each of the token `ids` (time,).

    `weights` have the names of the checkpoint's tensors (`export.lstm.shapes`).
    """
    exact = {name: value.astype(np.float64) for name, value in weights.items()}
    x = exact["embedding.weight"][ids]
    for i in range(config.n_layer):
        x = _layer(exact, f"lstm.{i}", config.hidden_size, x)
    return x @ exact["dense.weight"] + exact["dense.bias"]


def _layer(weights: dict[str, Float64Array], name: str, size: int, x: Float64Array) -> Float64Array:
    """Returns outputs (time, size) for inputs (time, width); the gates are input, forget, cell and output."""
    h, c = np.zeros(size), np.zeros(size)
    fed = x @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]
    outputs = []
    for row in fed:
        i, f, g, o = np.split(row + h @ weights[f"{name}.recurrent_kernel"], 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs)


def _sigmoid(x: Float64Array) -> Float64Array:
    return 1 / (1 + np.exp(-x))
