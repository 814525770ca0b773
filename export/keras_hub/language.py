"""Reads the language of a preset: its tokenizer as a `tokenizer.json`, and its special tokens.

KerasHub's tokenizers are distinguished by their class names. The start token that KerasHub's `generate` puts
before a prompt is added by the tokenizer's post-processor.
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
from export.language import special_tokens, tokenizer_file
from export.language.read import Language

CONFIG = "tokenizer.json"
"""The configuration of the tokenizer's class. In spite of its name, it holds no tokenizer."""
HINT = "; --tokenizer takes a tokenizer.json instead"


@dataclass(frozen=True)
class TokenizerKind:
    """The properties of one class of tokenizers."""

    start_token: str | None
    """Put before every prompt."""
    end_tokens: tuple[str, ...]
    """Each ends a generation."""
    pad_token: str | None = None
    sentence_piece: bool = False
    """True: SentencePiece; False: byte-level BPE."""
    word_pattern: str | None = None
    """Of byte-level BPE: the pattern of words; None: GPT-2's."""


_END_OF_TEXT = "<|endoftext|>"
_LLAMA = TokenizerKind("<s>", ("</s>",), sentence_piece=True)
_GEMMA = TokenizerKind("<bos>", ("<eos>",), "<pad>", sentence_piece=True)

KINDS = {
    "GPT2Tokenizer": TokenizerKind(_END_OF_TEXT, (_END_OF_TEXT,)),
    "Gemma3Tokenizer": _GEMMA,
    "GemmaTokenizer": _GEMMA,
    "Llama3Tokenizer": TokenizerKind(
        "<|begin_of_text|>", ("<|end_of_text|>", "<|eot_id|>"), word_pattern=byte_pair.LLAMA3
    ),
    "LlamaTokenizer": _LLAMA,
    "MistralTokenizer": _LLAMA,
    "Qwen3Tokenizer": TokenizerKind(None, ("<|im_end|>",), _END_OF_TEXT, word_pattern=byte_pair.QWEN),
    "QwenTokenizer": TokenizerKind(None, (_END_OF_TEXT,), word_pattern=byte_pair.QWEN),
}
"""The kinds by class name."""


def read_language(
    preset: Checkpoint,
    backbone: str,
    vocabulary_size: int,
    tokenizer: Path | None,
    ignored: Collection[str] = (),
) -> Language:
    """Reads the language of `preset`, whose backbone has the class name `backbone`.

    `tokenizer` is a tokenizer.json that replaces the preset's own tokenizer; `ignored` are keys of the
    configuration that may be unknown. Raises SourceError or a subclass when the tokenizer cannot be read, or
    has ids beyond `vocabulary_size`.
    """
    path = preset.directory / CONFIG if tokenizer is None else tokenizer
    if tokenizer is not None:
        kind = KINDS[backbone.replace("Backbone", "Tokenizer")]
        data = Checkpoint(tokenizer.parent).read(tokenizer.name)
    elif path.exists():
        kind = KINDS[serialized.class_name(preset, CONFIG, KINDS, HINT)]
        config = serialized.read_config(preset, CONFIG, ignored)
        data = _build_tokenizer(preset, kind, config).to_str().encode()
    else:
        raise SourceError(f"{path} is missing{HINT}")
    parsed = tokenizer_file.parse(data, path)
    tokenizer_file.check(parsed, path, vocabulary_size)
    special = special_tokens.with_texts(_special_tokens(kind, parsed, path), parsed)
    return Language(tokenizer_file.prepare(parsed, data), special, GenerationDefaults(), None)


def _build_tokenizer(preset: Checkpoint, kind: TokenizerKind, config: ConfigReader) -> Tokenizer:
    config.only("config_file", CONFIG)
    config.only("sequence_length", None)
    if kind.sentence_piece:
        # The model is not in `proto` but in a file of its own; the other key concerns image tokens only.
        config.unused("proto", "has_vision_tokens")
        config.only("add_bos", False)
        config.only("add_eos", False)
        tokenizer = sentence_piece.read(preset)
    else:
        tokenizer = byte_pair.read(preset, config, kind.word_pattern)
        tokenizer.add_special_tokens(_unsplittable(kind, config, tokenizer))
    config.finish()
    if kind.start_token is not None:
        start = (kind.start_token, _id_of(kind.start_token, tokenizer, preset.directory / CONFIG))
        tokenizer.post_processor = processors.TemplateProcessing(
            f"{kind.start_token} $A", special_tokens=[start]
        )
    return tokenizer


def _unsplittable(kind: TokenizerKind, config: ConfigReader, tokenizer: Tokenizer) -> list[str]:
    """Returns the tokens that KerasHub never splits; raises SourceError for one outside the vocabulary."""
    config.unused("unsplittable_tokens")
    listed = config.raw.get("unsplittable_tokens") or ()
    tokens = dict.fromkeys(
        token for token in (kind.start_token, *kind.end_tokens, kind.pad_token, *listed) if token is not None
    )
    for token in tokens:
        _id_of(token, tokenizer, byte_pair.VOCABULARY)
    return list(tokens)


def _special_tokens(kind: TokenizerKind, tokenizer: Tokenizer, path: Path) -> SpecialTokens:
    """Returns the special tokens' ids; of several end tokens, those outside the vocabulary are left out."""
    ends = [end for end in kind.end_tokens if tokenizer.token_to_id(end) is not None] or kind.end_tokens
    return SpecialTokens(
        bos=None if kind.start_token is None else _id_of(kind.start_token, tokenizer, path),
        eos=tuple(_id_of(end, tokenizer, path) for end in ends),
        pad=None if kind.pad_token is None else _id_of(kind.pad_token, tokenizer, path),
    )


def _id_of(token: str, tokenizer: Tokenizer, path: object) -> int:
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise SourceError(f"{path} has no token {token!r}")
    return found
