"""Reads the special tokens of a checkpoint: their names in tokenizer_config.json, strings and ids.

Where files differ, the precedence is that of the transformers library.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import AddedToken, Tokenizer

from contract.manifest import SpecialTokens
from export.checkpoints.checkpoint import Checkpoint
from export.errors import SourceError

NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class NamedTokens:
    """The tokens that are listed in the files beside tokenizer.json."""

    named: Mapping[str, AddedToken]
    """By role, such as `eos_token`."""
    extra: tuple[AddedToken, ...]
    """Special tokens without a role."""
    added: tuple[AddedToken, ...]
    """The entries of `added_tokens_decoder`, in the order of their ids."""

    @property
    def texts(self) -> dict[str, str]:
        """The strings of the named tokens by role."""
        return {name: token.content for name, token in self.named.items()}


def read(checkpoint: Checkpoint) -> NamedTokens:
    """Reads the tokens; raises SourceError for an entry that is not a token."""
    config = checkpoint.optional_json("tokenizer_config.json")
    listed = config.get("added_tokens_decoder")
    if listed is None:
        # The file of older checkpoints, which added_tokens_decoder supersedes.
        config |= checkpoint.optional_json("special_tokens_map.json")
    added = [token for _, token in sorted((listed or {}).items(), key=lambda item: int(item[0]))]
    return NamedTokens(_named(config), _extra(config), tuple(_token(each, special=False) for each in added))


def _named(config: Mapping[str, Any]) -> dict[str, AddedToken]:
    values = {name: config.get(name) for name in NAMES}
    values |= {name: value for name, value in config.items() if name.endswith("_token") and _is_token(value)}
    for key in ("extra_special_tokens", "model_specific_special_tokens"):
        if isinstance(further := config.get(key), dict):
            values |= further
    return {name: _token(value) for name, value in values.items() if value is not None}


def _extra(config: Mapping[str, Any]) -> tuple[AddedToken, ...]:
    values = config.get("extra_special_tokens") or config.get("additional_special_tokens") or ()
    return () if isinstance(values, dict) else tuple(_token(value) for value in values)


def _is_token(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("content"), str))


def _token(value: Any, special: bool = True) -> AddedToken:
    """Parses a token; `special` is the default of its flag."""
    if not _is_token(value):
        raise SourceError(
            f"{value!r} is not a token: it must be a string, or an object with a string `content`"
        )
    if isinstance(value, str):
        return AddedToken(value, special=special)
    flags = {name: value[name] for name in ("lstrip", "rstrip", "single_word", "normalized") if name in value}
    return AddedToken(value["content"], special=value.get("special", special), **flags)


def complete(tokenizer: Tokenizer, tokens: NamedTokens) -> None:
    """Adds the tokens that `tokenizer` lacks, in the order in which the transformers library adds them."""
    known = list(tokenizer.get_added_tokens_decoder().values())
    # Equality of tokens ignores their flags; `repr` shows them.
    shown = {repr(token) for token in known}
    adding = [token for token in tokens.added if repr(token) not in shown]
    contents = {token.content for token in (*known, *adding)}
    adding += [token for token in (*tokens.named.values(), *tokens.extra) if token.content not in contents]
    named = set(tokens.texts.values())
    for token in adding:
        token.special = token.special or token.content in named
    tokenizer.add_tokens(adding)


def identify(tokenizer: Tokenizer, tokens: NamedTokens, config: Mapping[str, Any]) -> SpecialTokens:
    """Returns the ids of the special tokens.

    An id in `config` (`eos_token_id` and the like) takes precedence over the id of a named token. A negative
    id means that there is no such token.
    """

    def ids(role: str) -> tuple[int, ...]:
        value = config.get(f"{role}_token_id")
        if value is None:
            text = tokens.texts.get(f"{role}_token")
            value = None if text is None else tokenizer.token_to_id(text)
        values = value if isinstance(value, list) else [value]
        return tuple(each for each in values if each is not None and each >= 0)

    return SpecialTokens(
        bos=next(iter(ids("bos")), None),
        eos=ids("eos"),
        pad=next(iter(ids("pad")), None),
        texts=tokens.texts,
    )


def with_texts(special: SpecialTokens, tokenizer: Tokenizer) -> SpecialTokens:
    """Returns `special` with its strings filled in from the tokenizer, if it has none."""
    roles = {"bos_token": special.bos, "eos_token": next(iter(special.eos), None), "pad_token": special.pad}
    known = {name: tokenizer.id_to_token(token) for name, token in roles.items() if token is not None}
    texts = {name: text for name, text in known.items() if text is not None}
    return replace(special, texts=special.texts or texts)
