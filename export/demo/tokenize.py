"""Trains the byte-level tokenizer on the corpus, and turns the corpus into one stream of ids."""

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from export.demo.corpus import END, TALE, USER

VOCABULARY_SIZE = 2048
SPECIAL_TOKENS = (END, USER, TALE)


def train(documents: Iterable[str]) -> Tokenizer:
    """A byte-level BPE tokenizer; the special tokens have the ids 0, 1 and 2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def stream(tokenizer: Tokenizer, documents: list[str]) -> npt.NDArray[np.int32]:
    """The ids of all documents, one after another."""
    encoded = tokenizer.encode_batch(documents)
    return np.concatenate([np.asarray(one.ids, np.int32) for one in encoded])



def windows(ids: npt.NDArray[np.int32], length: int, rng: random.Random) -> npt.NDArray[np.int32]:
    """`ids` cut into rows of `length + 1` (input and target overlap), from a random start."""
    start = rng.randrange(length)
    count = (len(ids) - start - 1) // length
    rows = np.arange(count)[:, None] * length + start + np.arange(length + 1)[None, :]
    return ids[rows]  # (count, length + 1)
