"""A user's own model: `module:function` returns a `UserModel`, which becomes a servable.

Knows nothing of the model but its `step` and what it says of itself; docs/contract.md tells how to write one.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from contract.manifest import GenerationDefaults, Manifest, SpecialTokens, StateTensor
from export import decode, special_tokens, tokenizer
from export.errors import SourceError
from export.servable import Reference, Servable, Step


@dataclass(frozen=True)
class UserModel:
    """What a user's function returns."""

    step: Step
    """Called by keyword with `tokens`, `lengths` and each tensor of `state`, batched."""
    state: tuple[StateTensor, ...]
    tokenizer: str | Path
    """A `tokenizer.json`."""
    vocabulary_size: int
    context_length: int
    special_tokens: SpecialTokens = field(default_factory=SpecialTokens)
    generation: GenerationDefaults = field(default_factory=GenerationDefaults)
    chat_template: str | None = None
    reference: Callable[[Any], Any] | None = None
    """Logits (time, vocabulary) of ids (time,) computed in some other way; None: compared with itself."""


def load(source: str, name: str) -> Servable:
    """The servable that `source`, as `module:function`, describes."""
    model = _called(_function(source), source)
    words, data = _tokenizer(Path(model.tokenizer), model.vocabulary_size)
    manifest = Manifest(
        name=name,
        family="keras",
        vocabulary_size=model.vocabulary_size,
        context_length=model.context_length,
        state=model.state,
        decode_steps=decode.MAX_STEPS,
        special_tokens=special_tokens.with_texts(model.special_tokens, words),
        generation=model.generation,
        chat_template=model.chat_template,
    )
    return Servable(manifest, data, model.step, _reference(model))


def _reference(model: UserModel) -> Reference | None:
    """Of several texts."""
    one = model.reference
    return None if one is None else lambda texts: [one(ids) for ids in texts]


def _function(source: str) -> Callable[[], Any]:
    module_name, colon, function_name = source.partition(":")
    if not (module_name and colon and function_name):
        raise SourceError(f"{source!r} is not of the form module:function")
    module = _module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise SourceError(f"module {module_name} has no function {function_name}")
    return function  # type: ignore[no-any-return]


def _module(name: str) -> Any:
    # As for `python -m`: the user's module lies in the directory where the command is run.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SourceError(f"module {name} cannot be imported: {error}") from error


def _called(function: Callable[[], Any], source: str) -> UserModel:
    model = function()
    if not isinstance(model, UserModel):
        raise SourceError(f"{source} must return an export.keras.UserModel, not {type(model).__name__}")
    return model


def _tokenizer(path: Path, vocabulary_size: int) -> tuple[Tokenizer, bytes]:
    if not path.is_file():
        raise SourceError(f"{path} is missing")
    data = path.read_bytes()
    parsed = tokenizer.parse(data, path)
    tokenizer.check(parsed, path, vocabulary_size)
    return parsed, tokenizer.prepare(parsed, data)
