"""Trains the byte-level tokenizer on the corpus, and turns documents into rows of token ids."""

from collections.abc import Iterable

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from contract.tensors import Ids
from export.demo.corpus import END, TALE, USER

VOCABULARY_SIZE = 2048
NOTHING = -1
"""Fills up rows; the loss ignores it."""
SPECIAL_TOKENS = (END, USER, TALE)


def train(documents: Iterable[str]) -> Tokenizer:
    """Trains a byte-level BPE tokenizer; the special tokens have the ids 0, 1 and 2."""
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


def rows(tokenizer: Tokenizer, documents: list[str], length: int) -> Ids:
    """Encodes one document per row (count, length), cut or filled up with `NOTHING`.

    Rows are not packed: to whom a name refers is learnt far sooner without other tales in the context. Every
    third row begins with `END`, which stands for an empty prompt.
    """
    filled = np.full((len(documents), length), NOTHING, np.int32)
    end = tokenizer.token_to_id(END)
    for i, encoded in enumerate(tokenizer.encode_batch(documents)):
        ids = ([end, *encoded.ids] if i % 3 == 0 else encoded.ids)[:length]
        filled[i, : len(ids)] = np.asarray(ids, np.int32)
    return filled
