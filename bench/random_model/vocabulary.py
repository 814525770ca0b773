"""A made-up byte-level vocabulary of GPT-2's size, in which nearly every token is a word.

Words have two or three syllables, each a consonant and a vowel, and carry the space before them. Merges are
ordered so that the text of a sequence of words has exactly those words as its tokens, so that engines
which take only text get the same prompts.
"""

import json
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SIZE = 50257
END = "<|endoftext|>"
END_ID = SIZE - 1
_SPACE = "Ġ"
"""A space, as byte-level tokenizers write it."""
_SYLLABLES = tuple(consonant + vowel for consonant, vowel in product("bcdfghjklmnpqrstvwxz", "aeiou"))
_LETTERS = 256
FIRST_WORD = _LETTERS + 2 * len(_SYLLABLES)
"""The first id that is a word; all later ones but the last are words too."""


def write(directory: Path, context: int) -> None:
    """Writes tokenizer.json and tokenizer_config.json, for texts of at most `context` tokens."""
    build().save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "bos_token": END,
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def build() -> Tokenizer:
    """Builds the tokenizer."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = list(islice(_merges(), SIZE - len(alphabet) - 1))
    tokens = [*alphabet, *(left + right for left, right in merges)]
    ids = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(ids, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return tokenizer


def _merges() -> Iterator[tuple[str, str]]:
    """Yields syllables, then words from their start on: in this order no merge prevents another."""
    yield from ((syllable[0], syllable[1]) for syllable in _SYLLABLES)
    yield from ((_SPACE, syllable) for syllable in _SYLLABLES)
    yield from ((_SPACE + first, second) for first, second in product(_SYLLABLES, repeat=2))
    yield from ((_SPACE + first + second, third) for third, first, second in product(_SYLLABLES, repeat=3))
