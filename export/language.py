"""What a checkpoint directory says of its language: tokenizer, special tokens, template, defaults.

Reads tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json in Hugging
Face's forms; knows no model family.
"""

from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from contract.manifest import GenerationDefaults, SpecialTokens
from export.checkpoint import Checkpoint
from export.errors import SourceError

TOKENIZER = "tokenizer.json"
TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class Language:
    """The part of a manifest that does not depend on the model family."""

    tokenizer: bytes
    special_tokens: SpecialTokens
    generation: GenerationDefaults
    chat_template: str | None


def read(checkpoint: Checkpoint, vocabulary_size: int) -> Language:
    """SourceError where a file is missing, or the tokenizer has ids that the model has not."""
    data = checkpoint.read(TOKENIZER)
    tokenizer = parse(data, str(checkpoint.directory / TOKENIZER), vocabulary_size)
    tokenizer_config = checkpoint.optional_json("tokenizer_config.json")
    generation_config = checkpoint.optional_json("generation_config.json")
    return Language(
        tokenizer=data,
        special_tokens=_special_tokens(tokenizer, tokenizer_config, checkpoint.config | generation_config),
        generation=_generation(generation_config),
        chat_template=_chat_template(checkpoint, tokenizer_config),
    )


def parse(data: bytes, path: str, vocabulary_size: int) -> Tokenizer:
    """The tokenizer in `data`; SourceError unless every id it can give is in the model's vocabulary."""
    try:
        tokenizer = Tokenizer.from_buffer(data)
    # The library raises bare exceptions.
    except Exception as error:
        raise SourceError(f"{path} is not a tokenizer: {error}") from error
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest >= vocabulary_size:
        raise SourceError(
            f"{path} gives ids up to {highest}, but the model's vocabulary has {vocabulary_size} entries"
        )
    return tokenizer


def _special_tokens(tokenizer: Tokenizer, names: dict[str, Any], ids: dict[str, Any]) -> SpecialTokens:
    """An id in the configuration counts before a token's name in tokenizer_config.json."""

    def resolve(role: str) -> tuple[int, ...]:
        given = ids.get(f"{role}_token_id")
        if given is None:
            given = _id_of(tokenizer, names.get(f"{role}_token"))
        return () if given is None else tuple(given) if isinstance(given, list) else (given,)

    bos, pad = resolve("bos"), resolve("pad")
    return SpecialTokens(
        bos=bos[0] if bos else None,
        eos=resolve("eos"),
        pad=pad[0] if pad else None,
    )


def _id_of(tokenizer: Tokenizer, token: Any) -> int | None:
    text = token.get("content") if isinstance(token, dict) else token
    return None if text is None else tokenizer.token_to_id(text)


def _generation(config: dict[str, Any]) -> GenerationDefaults:
    """The defaults; `do_sample: false`, said outright, is temperature 0."""
    shared = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    given = {key: config.get(key) for key in shared}
    given["max_tokens"] = config.get("max_new_tokens")
    if config.get("do_sample") is False:
        given["temperature"] = 0.0
    return GenerationDefaults(**{key: value for key, value in given.items() if value is not None})


def _chat_template(checkpoint: Checkpoint, config: dict[str, Any]) -> str | None:
    if (checkpoint.directory / TEMPLATE).exists():
        return checkpoint.read(TEMPLATE).decode()
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {item.get("name"): item.get("template") for item in template}
        return named.get("default")
    return template
