"""The demo LSTM: the classic tutorial model, at a size that learns the tales."""

from dataclasses import asdict

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from export import lstm
from export.demo.tokenization import NOTHING, VOCABULARY_SIZE, Ids
from export.demo.training import Schedule, Stage, cross_entropy, inputs
from export.reference.lstm import LstmConfig

CONFIG = LstmConfig(
    vocab_size=VOCABULARY_SIZE, embedding_size=128, hidden_size=240, n_layer=2, context_length=4096
)
# Scenes, then tales and talks at once: talks that come late are not learnt any more.
SCHEDULE = Schedule(stages=(Stage(150, 0, 80, 64), Stage(850, 2, 384, 16)), peak=3e-3)
MEMORY = 200
"""Tokens over which the slowest units remember as training begins."""


class Lstm:
    """Variables and the loss over packed rows."""

    def __init__(self, seed: int, ids: Ids) -> None:
        keras.utils.set_random_seed(seed)
        self._layers = lstm.Layers(CONFIG)
        self.weights: dict[str, tf.Variable] = {
            name: variable.value for name, variable in self._layers.variables.items()
        }
        self._begin(seed, ids)

    @property
    def variables(self) -> list[tf.Variable]:
        return list(self.weights.values())

    def _begin(self, seed: int, ids: Ids) -> None:
        rng = np.random.default_rng(seed)
        # Learning the tokens' frequencies through h would drive it into saturation.
        counts = np.bincount(ids[ids != NOTHING], minlength=CONFIG.vocab_size) + 1.0
        self._assign("dense.bias", np.log(counts / counts.sum()))
        self._assign("embedding.weight", rng.normal(0, 0.5, (CONFIG.vocab_size, CONFIG.embedding_size)))
        for i in range(CONFIG.n_layer):
            self._assign(f"lstm.{i}.bias", _remembering(rng, CONFIG.hidden_size))

    def _assign(self, name: str, value: npt.NDArray[np.float64]) -> None:
        self.weights[name].assign(value.astype(np.float32))

    def loss(self, rows: tf.Tensor) -> tf.Tensor:
        """Mean cross entropy in nats per token; `rows` is (batch, length)."""
        x = self._layers.embedding(inputs(rows))
        for layer in self._layers.lstm:
            x, _, _ = layer(x)
        return cross_entropy(rows, self._layers.dense(x))


def _remembering(rng: np.random.Generator, units: int) -> npt.NDArray[np.float64]:
    """Gate biases (4 * units) with which units forget over times of all lengths up to `MEMORY`."""
    forget = np.log(rng.uniform(1, MEMORY, units))
    rest = np.zeros(units)
    return np.concatenate([rest, forget, rest, rest])


def checkpoint_config() -> dict[str, object]:
    """The `config.json` that `export.lstm` reads."""
    return {"model_type": "lstm", **asdict(CONFIG), "bos_token_id": 0, "eos_token_id": 0}
