"""The demo LSTM: the classic tutorial model, large enough to learn the tales."""

from dataclasses import asdict

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from contract.tensors import Ids
from export import lstm
from export.demo.tokenization import NOTHING, VOCABULARY_SIZE
from export.demo.training import Schedule, Stage, cross_entropy, inputs
from export.reference.lstm import LstmConfig

CONFIG = LstmConfig(
    vocab_size=VOCABULARY_SIZE, embedding_size=128, hidden_size=240, n_layer=2, context_length=4096
)
# Scenes, then tales and chats together: chats in a stage of their own are not learnt any more.
SCHEDULE = Schedule(stages=(Stage(150, 0, 80, 64), Stage(850, 2, 384, 16)), peak=3e-3)
MEMORY = 200
"""The number of tokens that the slowest units remember at the start of training."""


class Lstm:
    """The model's variables, and its loss over rows of token ids."""

    def __init__(self, seed: int, ids: Ids) -> None:
        keras.utils.set_random_seed(seed)
        self._layers = lstm.LstmLayers(CONFIG)
        self.weights: dict[str, tf.Variable] = {
            name: variable.value for name, variable in self._layers.variables.items()
        }
        self._initialize(seed, ids)

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables to train."""
        return list(self.weights.values())

    def _initialize(self, seed: int, ids: Ids) -> None:
        rng = np.random.default_rng(seed)
        # Otherwise h would learn the tokens' frequencies, and saturate.
        counts = np.bincount(ids[ids != NOTHING], minlength=CONFIG.vocab_size) + 1.0
        self._assign("dense.bias", np.log(counts / counts.sum()))
        self._assign("embedding.weight", rng.normal(0, 0.5, (CONFIG.vocab_size, CONFIG.embedding_size)))
        for i in range(CONFIG.n_layer):
            self._assign(f"lstm.{i}.bias", _gate_biases(rng, CONFIG.hidden_size))

    def _assign(self, name: str, value: npt.NDArray[np.float64]) -> None:
        self.weights[name].assign(value.astype(np.float32))

    def loss(self, rows: tf.Tensor) -> tf.Tensor:
        """Computes the mean cross entropy of `rows` (batch, length), in nats per token."""
        x = self._layers.embedding(inputs(rows))
        for layer in self._layers.lstm:
            x, _, _ = layer(x)
        return cross_entropy(rows, self._layers.dense(x))


def _gate_biases(rng: np.random.Generator, units: int) -> npt.NDArray[np.float64]:
    """Draws gate biases (4 * units) with which units remember for 1 to `MEMORY` tokens."""
    forget = np.log(rng.uniform(1, MEMORY, units))
    rest = np.zeros(units)
    return np.concatenate([rest, forget, rest, rest])


def checkpoint_config() -> dict[str, object]:
    """Returns the `config.json` that `export.lstm` reads."""
    return {"model_type": "lstm", **asdict(CONFIG), "bos_token_id": 0, "eos_token_id": 0}
