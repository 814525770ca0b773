"""Reads a preset's byte-level BPE tokenizer, vocabulary.json and merges.txt, as a `tokenizer.json`.

Texts are split into words before merging, as in the original model. KerasHub's tokenizers do the same in a
tf.data pipeline, except for Llama 3's groups of three digits. Outside of a pipeline, those of KerasHub 0.32
merge across words: they match the pattern as a literal string, which occurs in no text.
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
"""The patterns of words. GPT-2's is not among them: it is the default of the tokenizers library."""


def read(preset: Checkpoint, config: ConfigReader, pattern: str | None) -> Tokenizer:
    """Builds the tokenizer from its configuration and the preset's files.

    `pattern` matches words; None: GPT-2's pattern. Raises SourceError when the files are not a BPE tokenizer.
    """
    prefixed = config.flag("add_prefix_space", False)
    vocabulary = preset.json(VOCABULARY)
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=_merges(preset)))
        tokenizer.pre_tokenizer = _pre_tokenizer(pattern, prefixed)
    # The library raises bare exceptions.
    except Exception as error:
        raise SourceError(
            f"{preset.directory / VOCABULARY} and {MERGES} are not a BPE tokenizer: {error}"
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
