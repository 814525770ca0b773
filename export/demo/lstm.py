"""The demo LSTM: the classic tutorial model, at a size that learns the tales."""

from dataclasses import asdict

import keras
import numpy as np
import tensorflow as tf

from export import lstm
from export.demo.optimize import Schedule, Stage, cross_entropy, inputs
from export.demo.tokenize import NOTHING, VOCABULARY_SIZE, Ids

CONFIG = lstm.Config(
    vocab_size=VOCABULARY_SIZE, embedding_size=128, hidden_size=240, n_layer=2, context_length=4096
)
SCHEDULE = Schedule(stages=(Stage(1100, 1, 224, 32), Stage(300, 2, 384, 20)), peak=3e-3)


class Lstm:
    """Variables and the loss over packed rows."""

    def __init__(self, seed: int, ids: Ids) -> None:
        keras.utils.set_random_seed(seed)
        self._layers = lstm.Layers(CONFIG)
        self.weights: dict[str, tf.Variable] = {
            name: variable.value for name, variable in self._layers.variables.items()
        }
        self._begin(ids)

    @property
    def variables(self) -> list[tf.Variable]:
        return list(self.weights.values())

    def _begin(self, ids: Ids) -> None:
        """The bias starts at the tokens' frequencies: learning those through h drives it into saturation."""
        counts = np.bincount(ids[ids != NOTHING], minlength=CONFIG.vocab_size) + 1.0
        self.weights["dense.bias"].assign(np.log(counts / counts.sum()).astype(np.float32))
        embedding = self.weights["embedding.weight"]
        embedding.assign(tf.random.normal(embedding.shape, stddev=0.5))

    def loss(self, rows: tf.Tensor) -> tf.Tensor:
        """Mean cross entropy in nats per token; `rows` is (batch, length)."""
        x = self._layers.embedding(inputs(rows))
        for layer in self._layers.lstm:
            x, _, _ = layer(x)
        return cross_entropy(rows, self._layers.dense(x))


def checkpoint_config() -> dict[str, object]:
    """The `config.json` that `export.lstm` reads."""
    return {"model_type": "lstm", **asdict(CONFIG), "bos_token_id": 0, "eos_token_id": 0}
