"""The demo GPT: a small GPT-2 whose variables carry the names of a Hugging Face checkpoint."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from export import gpt2
from export.demo.optimize import Schedule, Stage, cross_entropy, inputs
from export.demo.tokenize import VOCABULARY_SIZE

CONFIG = gpt2.Config(
    vocab_size=VOCABULARY_SIZE, n_positions=512, n_embd=192, n_layer=4, n_head=6, n_inner=768
)
# Scenes, then tales, then talks that fill the context.
SCHEDULE = Schedule(stages=(Stage(450, 0, 80, 64), Stage(450, 1, 224, 16), Stage(350, 3, 512, 8)), peak=2e-3)
OPERANDS = "bfloat16"

Array: TypeAlias = npt.NDArray[np.float32]


def _operand(name: str, variable: tf.Variable) -> tf.Tensor:
    """What enters matrix products is cast; norms stay float32."""
    return tf.cast(variable, gpt2.stored_dtype(name, OPERANDS))


class Gpt:
    """Variables and the loss over rows of ids."""

    def __init__(self, seed: int) -> None:
        self.weights = {name: tf.Variable(value) for name, value in _initial(seed).items()}

    @property
    def variables(self) -> list[tf.Variable]:
        return list(self.weights.values())

    def loss(self, rows: tf.Tensor) -> tf.Tensor:
        """Mean cross entropy in nats per token; `rows` is (batch, length)."""
        weights = {name: _operand(name, variable) for name, variable in self.weights.items()}
        tokens = inputs(rows)
        batch, steps = tf.unstack(tf.shape(tokens))
        nothing = tf.zeros([batch, 0, CONFIG.n_layer, CONFIG.n_head, CONFIG.head_dim], OPERANDS)
        x, _, _ = gpt2.hidden(CONFIG, weights, tokens, _positions(batch, steps), nothing, nothing)
        logits = tf.reshape(gpt2.head(CONFIG, weights, x), [batch, steps, CONFIG.vocab_size])
        return cross_entropy(rows, logits)


def _positions(batch: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Where each row begins (batch,): half of them anywhere, so that short rows teach all positions."""
    anywhere = tf.random.uniform([batch], 0, CONFIG.n_positions - steps + 1, tf.int32)
    return anywhere * tf.random.uniform([batch], 0, 2, tf.int32)


def _initial(seed: int) -> dict[str, Array]:
    """Weights that copy from the start.

    Queries and keys are the same projection, so that tokens look at their like, and what is written back
    is what was read: a name in sight becomes likelier. Left to find this alone, a model as small as this
    one needs many times the steps before the characters of its tales keep their names.
    """
    rng = np.random.default_rng(seed)
    weights = {name: _plain(rng, name, shape) for name, shape in gpt2.shapes(CONFIG).items()}
    weights["wpe.weight"] = _waves()
    width = CONFIG.n_embd
    for i in range(CONFIG.n_layer):
        look = rng.normal(0, 0.06, (width, width))
        read = rng.normal(0, width**-0.5, (width, width))
        weights[f"h.{i}.attn.c_attn.weight"] = np.concatenate([look, look, read], axis=1).astype(np.float32)
        weights[f"h.{i}.attn.c_proj.weight"] = (0.1 * read.T).astype(np.float32)
    return weights


def _waves() -> Array:
    """Positions (n_positions, n_embd) as waves of many lengths, so that a distance is the same anywhere."""
    lengths = 10_000 ** (np.arange(CONFIG.n_embd // 2) / (CONFIG.n_embd // 2))
    angles = np.arange(CONFIG.n_positions)[:, None] / lengths
    return (0.1 * np.concatenate([np.sin(angles), np.cos(angles)], axis=1)).astype(np.float32)


def _plain(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    if name.endswith("bias"):
        return np.zeros(shape, np.float32)
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    return rng.normal(0, 0.1 if name == "wte.weight" else 0.02, shape).astype(np.float32)


def checkpoint_config() -> dict[str, object]:
    """The `config.json` that Hugging Face's GPT-2 would have."""
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": CONFIG.activation_function,
        "vocab_size": CONFIG.vocab_size,
        "n_positions": CONFIG.n_positions,
        "n_embd": CONFIG.n_embd,
        "n_layer": CONFIG.n_layer,
        "n_head": CONFIG.n_head,
        "n_inner": CONFIG.n_inner,
        "layer_norm_epsilon": CONFIG.layer_norm_epsilon,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
