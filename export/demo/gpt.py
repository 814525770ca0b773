"""The demo GPT: a small GPT-2 whose variables carry the names of a Hugging Face checkpoint."""

import numpy as np
import tensorflow as tf

from export import gpt2
from export.demo.optimize import Schedule, Stage, cross_entropy, inputs
from export.demo.tokenize import VOCABULARY_SIZE

CONFIG = gpt2.Config(
    vocab_size=VOCABULARY_SIZE, n_positions=512, n_embd=192, n_layer=4, n_head=6, n_inner=768
)
# Single tales first, which are cheap; then talks that fill the context.
SCHEDULE = Schedule(stages=(Stage(1000, 1, 224, 32), Stage(350, 3, 512, 16)), peak=2e-3)
OPERANDS = "bfloat16"


def _operand(name: str, variable: tf.Variable) -> tf.Tensor:
    """What enters matrix products is cast; norms stay float32."""
    return tf.cast(variable, gpt2.stored_dtype(name, OPERANDS))


class Gpt:
    """Variables and the loss over rows of ids."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.weights = {name: self._variable(name, shape) for name, shape in gpt2.shapes(CONFIG).items()}

    @property
    def variables(self) -> list[tf.Variable]:
        return list(self.weights.values())

    def loss(self, rows: tf.Tensor) -> tf.Tensor:
        """Mean cross entropy in nats per token; `rows` is (batch, length)."""
        weights = {name: _operand(name, variable) for name, variable in self.weights.items()}
        tokens = inputs(rows)
        batch, steps = tf.unstack(tf.shape(tokens))
        nothing = tf.zeros([batch, 0, CONFIG.n_layer, CONFIG.n_head, CONFIG.head_dim], OPERANDS)
        x, _, _ = gpt2.hidden(CONFIG, weights, tokens, tf.zeros([batch], tf.int32), nothing, nothing)
        logits = tf.reshape(gpt2.head(CONFIG, weights, x), [batch, steps, CONFIG.vocab_size])
        return cross_entropy(rows, logits)

    def _variable(self, name: str, shape: tuple[int, ...]) -> tf.Variable:
        if name.endswith("bias"):
            return tf.Variable(np.zeros(shape, np.float32))
        if len(shape) == 1:
            return tf.Variable(np.ones(shape, np.float32))
        # As GPT-2: projections into the residual stream begin smaller, the deeper the stack.
        scale = 0.02 / (2 * CONFIG.n_layer) ** 0.5 if name.endswith("c_proj.weight") else 0.02
        return tf.Variable(self._rng.normal(0, scale, shape).astype(np.float32))


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
