"""The LSTM language model: an embedding, n LSTM layers and a dense layer in Keras, with h and c as state."""

import logging
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from contract.manifest import Manifest, StateTensor
from export.checkpoints.checkpoint import Checkpoint, Weights
from export.language.read import read_language
from export.reference import lstm as plain
from export.reference.lstm import LstmConfig
from export.signatures import explicit_decode
from export.signatures.servable import ExportedModel, NamedTensors, Reference, StepFunction

logger = logging.getLogger(__name__)

MODEL_TYPE = "lstm"


def read_config(checkpoint: Checkpoint) -> LstmConfig:
    """Reads the model's sizes from config.json; raises SourceError where one is missing or malformed."""
    keys = ("vocab_size", "embedding_size", "hidden_size", "n_layer", "context_length")
    return LstmConfig(**{key: checkpoint.size(key) for key in keys})


def read_weights(checkpoint: Checkpoint, config: LstmConfig) -> Weights:
    """Reads the checkpoint's tensors by name; raises SourceError where they do not fit `config`."""
    return checkpoint.weights(shapes(config), prefix="", ignored=())


def state(config: LstmConfig) -> tuple[StateTensor, ...]:
    """Returns the state tensors: h and c of each layer."""
    return tuple(
        StateTensor(f"{kind}_{i}", "float32", (config.hidden_size,))
        for i in range(config.n_layer)
        for kind in ("h", "c")
    )


def reference(config: LstmConfig, weights: Weights) -> Reference:
    """Returns the reference of the model, in numpy and float64."""
    return lambda sequences, last=0: [plain.logits(config, weights, ids)[-last:] for ids in sequences]


def step(config: LstmConfig, weights: Weights) -> StepFunction:
    """Returns the function behind `step`, over new Keras layers with `weights`."""
    layers = LstmLayers(config)
    for name, variable in layers.variables.items():
        variable.assign(weights[name])

    def run(tokens: tf.Tensor, lengths: tf.Tensor, **state: tf.Tensor) -> NamedTensors:
        x = layers.embedding(tokens)  # (batch, steps, embedding_size)
        # A masked step leaves h and c unchanged: each row ends with the state after its own length.
        mask = tf.sequence_mask(lengths, tf.shape(tokens)[1])
        after = {}
        for i, layer in enumerate(layers.lstm):
            before = [state[f"h_{i}"], state[f"c_{i}"]]
            x, after[f"h_{i}"], after[f"c_{i}"] = layer(x, initial_state=before, mask=mask)
        return {"logits": layers.dense(after[f"h_{config.n_layer - 1}"]), **after}

    return run


def shapes(config: LstmConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every tensor of a checkpoint, by name; the gates are in Keras's order."""
    size = config.hidden_size
    named: dict[str, tuple[int, ...]] = {"embedding.weight": (config.vocab_size, config.embedding_size)}
    for i in range(config.n_layer):
        named[f"lstm.{i}.kernel"] = (size if i else config.embedding_size, 4 * size)
        named[f"lstm.{i}.recurrent_kernel"] = (size, 4 * size)
        named[f"lstm.{i}.bias"] = (4 * size,)
    return named | {"dense.weight": (size, config.vocab_size), "dense.bias": (config.vocab_size,)}


class LstmLayers:
    """The built Keras layers, with newly initialised weights."""

    def __init__(self, config: LstmConfig) -> None:
        self.embedding = keras.layers.Embedding(config.vocab_size, config.embedding_size)
        self.lstm = [
            keras.layers.LSTM(config.hidden_size, return_sequences=True, return_state=True)
            for _ in range(config.n_layer)
        ]
        self.dense = keras.layers.Dense(config.vocab_size)
        self._build(config)

    @property
    def variables(self) -> dict[str, Any]:
        """The variables, by their names in a checkpoint."""
        named = {"embedding.weight": self.embedding.embeddings}
        for i, layer in enumerate(self.lstm):
            named[f"lstm.{i}.kernel"] = layer.cell.kernel
            named[f"lstm.{i}.recurrent_kernel"] = layer.cell.recurrent_kernel
            named[f"lstm.{i}.bias"] = layer.cell.bias
        return named | {"dense.weight": self.dense.kernel, "dense.bias": self.dense.bias}

    def _build(self, config: LstmConfig) -> None:
        self.embedding.build((None, None))
        width = config.embedding_size
        for layer in self.lstm:
            layer.build((None, None, width))
            width = config.hidden_size
        self.dense.build((None, None, width))


def load(directory: Path, name: str) -> ExportedModel:
    """Reads the checkpoint in `directory` into a model that is ready to be written under `name`.

    Raises SourceError if it is not a complete LSTM checkpoint.
    """
    logger.info("reading %s", directory)
    checkpoint = Checkpoint(directory)
    checkpoint.model_type((MODEL_TYPE,))
    config = read_config(checkpoint)
    language = read_language(checkpoint, config.vocab_size)
    weights = read_weights(checkpoint, config)
    manifest = Manifest(
        name=name,
        family=MODEL_TYPE,
        vocabulary_size=config.vocab_size,
        context_length=config.context_length,
        state=state(config),
        decode_steps=explicit_decode.MAX_STEPS,
        special_tokens=language.special_tokens,
        generation=language.generation,
        chat_template=language.chat_template,
    )
    return ExportedModel(manifest, language.tokenizer, step(config, weights), reference(config, weights))
