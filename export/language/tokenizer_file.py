"""The tokenizer of a checkpoint as serving needs it: tokenizer.json, with what the files beside it change.

The file itself decides how texts become ids. Tokens that only tokenizer_config.json knows are added; cutting
and padding, which are for training, are taken out. Knows no model family.
"""

import logging
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE

from export.checkpoints.checkpoint import Checkpoint
from export.errors import SourceError, UnsupportedError
from export.language import special_tokens
from export.language.special_tokens import NamedTokens

FILE = "tokenizer.json"
OTHERS = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json", "tiktoken.model")
"""What checkpoints without tokenizer.json bring in its place."""

CHANGING = ("split_special_tokens", "fix_mistral_regex")
"""Settings of tokenizer_config.json that give other ids, and that tokenizer.json cannot hold."""

logger = logging.getLogger(__name__)


def read(checkpoint: Checkpoint, tokens: NamedTokens, vocabulary_size: int) -> tuple[Tokenizer, bytes]:
    """The tokenizer, and tokenizer.json as it travels in the servable."""
    path = checkpoint.directory / FILE
    _require(path)
    config = checkpoint.optional_json("tokenizer_config.json")
    for key in CHANGING:
        if config.get(key):
            raise UnsupportedError(f"{path.parent / 'tokenizer_config.json'}: {key} true is not implemented")
    data = checkpoint.read(FILE)
    tokenizer = parse(data, path)
    data = prepare(tokenizer, data, tokens)
    check(tokenizer, path, vocabulary_size)
    if config.get("clean_up_tokenization_spaces") and not isinstance(tokenizer.model, BPE):
        logger.info("not applied: clean_up_tokenization_spaces, white space stays as the model wrote it")
    return tokenizer, data


def _require(path: Path) -> None:
    if path.is_file():
        return
    there = [name for name in OTHERS if (path.parent / name).is_file()]
    hint = f"; transformers' AutoTokenizer makes it out of {there[0]}, with save_pretrained" if there else ""
    raise SourceError(f"{path} is missing{hint}")


def parse(data: bytes, path: Path) -> Tokenizer:
    """The tokenizer in `data`; SourceError where there is none."""
    try:
        return Tokenizer.from_buffer(data)
    # The library raises bare exceptions.
    except Exception as error:
        raise SourceError(f"{path} is not a tokenizer: {error}") from error


def prepare(tokenizer: Tokenizer, data: bytes, tokens: NamedTokens | None = None) -> bytes:
    """`data` with what serving changes of it; the very same bytes where that is nothing."""
    before = tokenizer.to_str()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if tokens is not None:
        special_tokens.complete(tokenizer, tokens)
    after: str = tokenizer.to_str()
    return data if after == before else after.encode()


def check(tokenizer: Tokenizer, path: Path, vocabulary_size: int) -> None:
    """SourceError unless the model's vocabulary holds the tokenizer's; added tokens may lie beyond it."""
    highest = max(tokenizer.get_vocab(with_added_tokens=False).values(), default=-1)
    if highest >= vocabulary_size:
        raise SourceError(
            f"{path} gives ids up to {highest}, but the model's vocabulary has {vocabulary_size} entries"
        )
    added = tokenizer.get_added_tokens_decoder()
    if beyond := [added[index].content for index in sorted(added) if index >= vocabulary_size]:
        logger.info("%d added tokens that the model lacks, such as %r, are refused", len(beyond), beyond[0])
