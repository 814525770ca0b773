"""Reads a checkpoint's tokenizer.json and prepares it for serving.

The file alone decides how texts become ids. Tokens that only tokenizer_config.json lists are added;
truncation and padding, which are meant for training, are removed.
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
"""The tokenizer files of checkpoints without tokenizer.json."""

CHANGING = ("split_special_tokens", "fix_mistral_regex")
"""Settings of tokenizer_config.json that change ids and cannot be expressed in tokenizer.json."""

logger = logging.getLogger(__name__)


def read(checkpoint: Checkpoint, tokens: NamedTokens, vocabulary_size: int) -> tuple[Tokenizer, bytes]:
    """Returns the tokenizer, and the bytes of the tokenizer.json for the servable.

    Raises SourceError when the file is missing or malformed, or has ids beyond `vocabulary_size`;
    UnsupportedError for a setting that would change ids.
    """
    path = checkpoint.directory / FILE
    _require(path)
    config = checkpoint.optional_json("tokenizer_config.json")
    for key in CHANGING:
        if config.get(key):
            raise UnsupportedError(
                f"{path.parent / 'tokenizer_config.json'}: {key} = true is not implemented"
            )
    data = checkpoint.read(FILE)
    tokenizer = parse(data, path)
    data = prepare(tokenizer, data, tokens)
    check(tokenizer, path, vocabulary_size)
    if config.get("clean_up_tokenization_spaces") and not isinstance(tokenizer.model, BPE):
        logger.info("not applied: clean_up_tokenization_spaces; white space stays as generated")
    return tokenizer, data


def _require(path: Path) -> None:
    if path.is_file():
        return
    found = [name for name in OTHERS if (path.parent / name).is_file()]
    hint = f"; create it from {found[0]} with transformers: AutoTokenizer, save_pretrained" if found else ""
    raise SourceError(f"{path} is missing{hint}")


def parse(data: bytes, path: Path) -> Tokenizer:
    """Parses a tokenizer.json; raises SourceError when it is not one. `path` is for the message."""
    try:
        return Tokenizer.from_buffer(data)
    # The library raises bare exceptions.
    except Exception as error:
        raise SourceError(f"{path} is not a tokenizer: {error}") from error


def prepare(tokenizer: Tokenizer, data: bytes, tokens: NamedTokens | None = None) -> bytes:
    """Prepares `tokenizer` for serving and returns its bytes: `data` itself when nothing changes."""
    before = tokenizer.to_str()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if tokens is not None:
        special_tokens.complete(tokenizer, tokens)
    after: str = tokenizer.to_str()
    return data if after == before else after.encode()


def check(tokenizer: Tokenizer, path: Path, vocabulary_size: int) -> None:
    """Raises SourceError for ids beyond the model's vocabulary, except for those of added tokens."""
    highest = max(tokenizer.get_vocab(with_added_tokens=False).values(), default=-1)
    if highest >= vocabulary_size:
        raise SourceError(
            f"{path} gives ids up to {highest}, but the model's vocabulary has {vocabulary_size} entries"
        )
    added = tokenizer.get_added_tokens_decoder()
    if beyond := [added[index].content for index in sorted(added) if index >= vocabulary_size]:
        logger.info(
            "%d added tokens, such as %r, are beyond the model's vocabulary and are refused",
            len(beyond),
            beyond[0],
        )
