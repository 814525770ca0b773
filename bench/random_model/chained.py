"""Two checkpoints in GPT-2's layout: a model, and a small one that predicts it, which can be its draft model.

The next word depends on the last one alone, in both: the head gives the highest logit to its successor, and
layers add too little to change that. Successors form a single circle, so that no text repeats itself. The
small model has other successors for some of the words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.random_model import checkpoint, vocabulary

SEED = 22
SAME = 0.8
"""The part of the words for which the small model has the same successor."""

Array = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ChainShape:
    """Size of one of the two models."""

    layers: int
    width: int
    same: float = 1.0
    """The part of the words whose successor is that of the circle."""

    @property
    def config(self) -> dict[str, object]:
        """The config.json; heads are as wide as GPT-2's."""
        heads = self.width * checkpoint.HEADS // checkpoint.WIDTH
        shape = {"n_layer": self.layers, "n_embd": self.width, "n_head": heads}
        return {**checkpoint.CONFIG, **shape, "tie_word_embeddings": False}


LARGE = ChainShape(checkpoint.LAYERS, checkpoint.WIDTH)
SMALL = ChainShape(layers=2, width=128, same=SAME)


def write(directory: Path, shape: ChainShape) -> None:
    """Writes a checkpoint into `directory`."""
    checkpoint.write_files(directory, shape.config, _weights(shape))


def successors(same: float) -> Ids:
    """Returns the successor of each token id, its own for those that are no words.

    Of the words, the part `same` have the successor that they have with `same` 1.
    """
    rng = np.random.default_rng(SEED)
    circle = rng.permutation(np.arange(vocabulary.FIRST_WORD, vocabulary.END_ID))
    found = np.arange(vocabulary.SIZE)
    found[circle] = np.roll(circle, -1)
    # Anywhere on the circle, so that every text meets some.
    others = rng.permutation(circle)[: round((1 - same) * len(circle))]
    found[others] = np.roll(found[others], 1)
    return found


def _weights(shape: ChainShape) -> Iterator[tuple[str, Array]]:
    rng = np.random.default_rng(SEED)
    words = rng.standard_normal((vocabulary.SIZE, shape.width), np.float32)
    yield "transformer.wte.weight", words
    yield "transformer.wpe.weight", np.zeros((checkpoint.CONTEXT, shape.width), np.float32)
    yield "lm_head.weight", _head(words, successors(shape.same))
    for layer in range(shape.layers):
        prefix = f"transformer.h.{layer}"
        for name, (rows, columns) in checkpoint.matrices(shape.width).items():
            yield f"{prefix}.{name}.weight", 1e-3 * rng.standard_normal((rows, columns), np.float32)
            yield f"{prefix}.{name}.bias", np.zeros(columns, np.float32)
        for name in ("ln_1", "ln_2"):
            yield from checkpoint.norm(f"{prefix}.{name}", shape.width)
    yield from checkpoint.norm("transformer.ln_f", shape.width)


def _head(words: Array, successor: Ids) -> Array:
    """The row of a word is the embedding of its predecessor; other rows are zero: never the highest logit."""
    head = np.zeros_like(words)
    of_words = np.arange(vocabulary.FIRST_WORD, vocabulary.END_ID)
    head[successor[of_words]] = words[of_words]
    return head
