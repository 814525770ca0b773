"""The demo GPT: a small GPT-2 whose variables have the names of a Hugging Face checkpoint's tensors."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from export.checkpoints.config_reader import ConfigReader
from export.demo.tokenization import VOCABULARY_SIZE
from export.demo.training import Schedule, Stage, cross_entropy, inputs
from export.hf.families import gpt2
from export.signatures.explicit_model import PastView
from export.transformer_model.forward import ForwardPass
from export.transformer_model.pieces import Pieces
from export.transformer_model.weights import stored_dtype

CONFIG = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "activation_function": "gelu_new",
    "vocab_size": VOCABULARY_SIZE,
    "n_positions": 512,
    "n_embd": 192,
    "n_layer": 4,
    "n_head": 6,
    "n_inner": 768,
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
READER = ConfigReader(CONFIG, "the demo GPT")
MODEL = gpt2.describe(READER, gpt2.context(READER))
SOURCES = gpt2.sources(MODEL, READER)
# In this family, each weight is exactly one tensor of the checkpoint.
TENSORS = {weight: next(iter(source.needs.items())) for weight, source in SOURCES.items()}
# Scenes, then tales, then chats that fill the context.
SCHEDULE = Schedule(stages=(Stage(450, 0, 80, 64), Stage(450, 1, 224, 16), Stage(350, 3, 512, 8)), peak=2e-3)
OPERANDS = "bfloat16"

Float32Array: TypeAlias = npt.NDArray[np.float32]


class Gpt:
    """The model's variables, and its loss over rows of token ids."""

    def __init__(self, seed: int) -> None:
        self.weights = {name: tf.Variable(value) for name, value in _initial(seed).items()}

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables to train."""
        return list(self.weights.values())

    def loss(self, rows: tf.Tensor) -> tf.Tensor:
        """Computes the mean cross entropy of `rows` (batch, length), in nats per token."""
        tokens = inputs(rows)
        batch, steps = tf.unstack(tf.shape(tokens))
        nothing = tf.zeros([batch, 0, len(MODEL.layers), MODEL.kv_heads, MODEL.head_dim], OPERANDS)
        starts = _positions(batch, steps)
        pieces = Pieces.of(tokens, tf.fill([batch], steps))
        view = PastView(starts, pieces, steps, nothing, nothing)
        forward = ForwardPass(MODEL, {weight: self._operand(weight) for weight in SOURCES})
        positions = pieces.positions(starts)
        logits = forward.logits(pieces.flat(tokens), positions, tf.range(batch * steps), view)
        return cross_entropy(rows, tf.reshape(logits, [batch, steps, MODEL.vocabulary_size]))

    def _operand(self, weight: str) -> tf.Tensor:
        """Casts what enters matrix products; norms stay float32."""
        name, _ = TENSORS[weight]
        return tf.cast(self.weights[name], stored_dtype(weight, OPERANDS))


def _positions(batch: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Draws first positions (batch,): 0, or at random, so that short rows train all positions."""
    anywhere = tf.random.uniform([batch], 0, MODEL.context_length - steps + 1, tf.int32)
    return anywhere * tf.random.uniform([batch], 0, 2, tf.int32)


def _initial(seed: int) -> dict[str, Float32Array]:
    """Draws initial weights with which attention copies.

    Queries and keys are the same projection, so that tokens attend to similar tokens, and the output
    projection writes back what the values read: a name in the context becomes likelier. Without this, so
    small a model needs many times more steps before the characters of its tales keep their names.
    """
    rng = np.random.default_rng(seed)
    weights = {name: _plain(rng, name, shape) for name, shape in TENSORS.values()}
    weights["wpe.weight"] = _waves()
    width = MODEL.width
    for i in range(len(MODEL.layers)):
        look = rng.normal(0, 0.06, (width, width))
        read = rng.normal(0, width**-0.5, (width, width))
        weights[f"h.{i}.attn.c_attn.weight"] = np.concatenate([look, look, read], axis=1).astype(np.float32)
        weights[f"h.{i}.attn.c_proj.weight"] = (0.1 * read.T).astype(np.float32)
    return weights


def _waves() -> Float32Array:
    """Returns sinusoidal position embeddings (n_positions, n_embd): a distance looks the same everywhere."""
    lengths = 10_000 ** (np.arange(MODEL.width // 2) / (MODEL.width // 2))
    angles = np.arange(MODEL.context_length)[:, None] / lengths
    return (0.1 * np.concatenate([np.sin(angles), np.cos(angles)], axis=1)).astype(np.float32)


def _plain(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Float32Array:
    if name.endswith("bias"):
        return np.zeros(shape, np.float32)
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    return rng.normal(0, 0.1 if name == "wte.weight" else 0.02, shape).astype(np.float32)


def checkpoint_config() -> dict[str, object]:
    """Returns the `config.json` of a Hugging Face GPT-2 of this size."""
    return CONFIG
