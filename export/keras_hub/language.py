"""The language of a preset: its tokenizer as a `tokenizer.json`, and its special tokens.

Knows KerasHub's tokenizers by their classes' names. What KerasHub's `generate` puts before a prompt, the
tokenizer's post-processor does.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, processors

from contract.manifest import GenerationDefaults, SpecialTokens
from export.checkpoints.checkpoint import Checkpoint
from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError
from export.keras_hub import byte_pair, sentence_piece, serialized
from export.language import special_tokens
from export.language import tokenizer_file as tokenizers
from export.language.read import Language

CONFIG = "tokenizer.json"
"""Of the tokenizer's class; no tokenizer, in spite of its name."""
HINT = "; --tokenizer takes a tokenizer.json instead"


@dataclass(frozen=True)
class TokenizerKind:
    """One class of tokenizers."""

    start: str | None
    """Stands before every prompt."""
    ends: tuple[str, ...]
    pad: str | None = None
    pieces: bool = False
    """SentencePiece rather than byte-level BPE."""
    pattern: str | None = None
    """Of words, for BPE."""


_TEXT = "<|endoftext|>"
_PIECES = TokenizerKind("<s>", ("</s>",), pieces=True)
_GEMMA = TokenizerKind("<bos>", ("<eos>",), "<pad>", pieces=True)

KINDS = {
    "GPT2Tokenizer": TokenizerKind(_TEXT, (_TEXT,)),
    "Gemma3Tokenizer": _GEMMA,
    "GemmaTokenizer": _GEMMA,
    "Llama3Tokenizer": TokenizerKind(
        "<|begin_of_text|>", ("<|end_of_text|>", "<|eot_id|>"), pattern=byte_pair.LLAMA3
    ),
    "LlamaTokenizer": _PIECES,
    "MistralTokenizer": _PIECES,
    "Qwen3Tokenizer": TokenizerKind(None, ("<|im_end|>",), _TEXT, pattern=byte_pair.QWEN),
    "QwenTokenizer": TokenizerKind(None, (_TEXT,), pattern=byte_pair.QWEN),
}
"""By the names of the classes."""


def read(
    preset: Checkpoint, backbone: str, vocabulary_size: int, given: Path | None, ignored: Collection[str] = ()
) -> Language:
    """`backbone` is the name of its class; `given`, a tokenizer.json, counts before the preset's tokenizer.

    SourceError and its kinds for what cannot be read; settings in `ignored` are taken not to matter.
    """
    path = preset.directory / CONFIG if given is None else given
    if given is not None:
        kind, data = KINDS[backbone.replace("Backbone", "Tokenizer")], _bytes(given)
    elif path.exists():
        kind = KINDS[serialized.class_name(preset, CONFIG, KINDS, HINT)]
        data = _built(preset, kind, serialized.read_config(preset, CONFIG, ignored)).to_str().encode()
    else:
        raise SourceError(f"{path} is missing{HINT}")
    parsed = tokenizers.parse(data, path)
    tokenizers.check(parsed, path, vocabulary_size)
    special = special_tokens.with_texts(_special_tokens(kind, parsed, path), parsed)
    return Language(tokenizers.prepare(parsed, data), special, GenerationDefaults(), None)


def _built(preset: Checkpoint, kind: TokenizerKind, config: ConfigReader) -> Tokenizer:
    config.only("config_file", CONFIG)
    config.only("sequence_length", None)
    if kind.pieces:
        # Never in the file: the model has a file of its own. For pictures' tokens, which no text has.
        config.unused("proto", "has_vision_tokens")
        config.only("add_bos", False)
        config.only("add_eos", False)
        tokenizer = sentence_piece.read(preset)
    else:
        tokenizer = byte_pair.read(preset, config, kind.pattern)
        tokenizer.add_special_tokens(_unsplittable(kind, config, tokenizer))
    config.finish()
    if kind.start is not None:
        start = (kind.start, _id_of(kind.start, tokenizer, preset.directory / CONFIG))
        tokenizer.post_processor = processors.TemplateProcessing(f"{kind.start} $A", special_tokens=[start])
    return tokenizer


def _unsplittable(kind: TokenizerKind, config: ConfigReader, tokenizer: Tokenizer) -> list[str]:
    """What KerasHub keeps whole; SourceError for what the vocabulary lacks."""
    config.unused("unsplittable_tokens")
    listed = config.raw.get("unsplittable_tokens") or ()
    tokens = dict.fromkeys(
        token for token in (kind.start, *kind.ends, kind.pad, *listed) if token is not None
    )
    for token in tokens:
        _id_of(token, tokenizer, byte_pair.VOCABULARY)
    return list(tokens)


def _special_tokens(kind: TokenizerKind, tokenizer: Tokenizer, path: Path) -> SpecialTokens:
    """Of several that end a text, those that there are."""
    ends = [end for end in kind.ends if tokenizer.token_to_id(end) is not None] or kind.ends
    return SpecialTokens(
        bos=None if kind.start is None else _id_of(kind.start, tokenizer, path),
        eos=tuple(_id_of(end, tokenizer, path) for end in ends),
        pad=None if kind.pad is None else _id_of(kind.pad, tokenizer, path),
    )


def _id_of(token: str, tokenizer: Tokenizer, path: object) -> int:
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise SourceError(f"{path}: there is no token {token!r}")
    return found


def _bytes(path: Path) -> bytes:
    return Checkpoint(path.parent).read(path.name)
