"""A byte-level BPE tokenizer of a preset, vocabulary.json and merges.txt, as a `tokenizer.json`.

Texts are split before merging as the model's makers split them, which is what KerasHub's tokenizers do in a
tf.data pipeline, but for the groups of digits of Llama 3. (Called outside of one, those of KerasHub 0.32
merge across words: they hand the pattern over as a plain text, which is found nowhere.)
"""

from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from export.checkpoints.checkpoint import Checkpoint
from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError

VOCABULARY = "assets/tokenizer/vocabulary.json"
MERGES = "assets/tokenizer/merges.txt"

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = _WORDS.format(digits=r"\p{N}{1,3}") + _SPACES
QWEN = _WORDS.format(digits=r"\p{N}") + _SPACES
"""How words are found; GPT-2's way has no name here, since it is the library's own."""


def read(preset: Checkpoint, config: ConfigReader, pattern: str | None) -> Tokenizer:
    """`pattern` finds words; None: GPT-2's does. The settings are the tokenizer's."""
    prefixed = config.flag("add_prefix_space", False)
    vocabulary = preset.json(VOCABULARY)
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=_merges(preset)))
        tokenizer.pre_tokenizer = _pre_tokenizer(pattern, prefixed)
    # The library raises bare exceptions.
    except Exception as error:
        raise SourceError(
            f"{preset.directory / VOCABULARY} and {MERGES} make no tokenizer: {error}"
        ) from error
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _merges(preset: Checkpoint) -> list[tuple[str, str]]:
    lines = preset.read(MERGES).decode().split("\n")
    pairs = (line.rstrip().partition(" ") for line in lines if line.strip() and "#version:" not in line)
    return [(first, second) for first, _, second in pairs]


def _pre_tokenizer(pattern: str | None, prefixed: bool) -> Any:
    if pattern is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=prefixed)
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=prefixed, use_regex=False)]
    )
