"""A user's own model: `module:function` returns a `UserModel`, which becomes a servable.

Knows nothing of the model but its `step` and what it says of itself; docs/keras.md tells how to write one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tokenizers import Tokenizer

from contract.manifest import GenerationDefaults, Manifest, SpecialTokens, StateTensor
from export.errors import SignatureError, SourceError, VerificationError
from export.language import special_tokens, tokenizer_file
from export.signatures import explicit_decode
from export.signatures.servable import ExportedModel, Reference, Step
from export.user_errors import blamed
from export.user_model.stepwise import StepwiseModel
from export.user_model.user_function import function as user_function

Ids: TypeAlias = npt.NDArray[np.int32]


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
    reference: Callable[[Ids], npt.ArrayLike] | None = None
    """Logits (time, vocabulary) of ids (time,) computed in some other way; None: compared with itself."""
    exact: bool = True
    """Computed in float32: larger errors than its rounding fail the verification; False: only reported."""


def recurrent(
    model: Any,
    *,
    tokenizer: str | Path,
    context_length: int,
    special_tokens: SpecialTokens | None = None,
    generation: GenerationDefaults | None = None,
    chat_template: str | None = None,
    positionwise: Sequence[str] = (),
) -> UserModel:
    """A functional or Sequential Keras model with recurrent layers, from token ids to logits or a softmax.

    Its state is the recurrent layers'; the reference is the model run whole. `positionwise` names layers of
    kinds unknown here that treat each position by itself. UnsupportedError names a layer that has no step.
    """
    _check_backend()
    stepwise = StepwiseModel(model, positionwise)
    return UserModel(
        step=stepwise.step,
        state=stepwise.state,
        tokenizer=tokenizer,
        vocabulary_size=stepwise.vocabulary_size,
        context_length=context_length,
        special_tokens=special_tokens or SpecialTokens(),
        generation=generation or GenerationDefaults(),
        chat_template=chat_template,
        reference=stepwise.reference,
        exact=stepwise.exact,
    )


def load_user_model(source: str, name: str) -> ExportedModel:
    """Calls `source`, a `module:function`, and turns what it returns into a model ready to be written."""
    _check_backend()
    model = _called(source)
    words, data = _tokenizer(Path(model.tokenizer), model.vocabulary_size)
    manifest = Manifest(
        name=name,
        family="keras",
        vocabulary_size=model.vocabulary_size,
        context_length=model.context_length,
        state=tuple(model.state),
        decode_steps=explicit_decode.MAX_STEPS,
        special_tokens=special_tokens.with_texts(model.special_tokens, words),
        generation=model.generation,
        chat_template=model.chat_template,
    )
    return ExportedModel(manifest, data, _step(model.step), _reference(model), model.exact)


def _check_backend() -> None:
    if (backend := keras.backend.backend()) != "tensorflow":
        raise SourceError(f"Keras runs on {backend} here; set KERAS_BACKEND=tensorflow")


def _called(source: str) -> UserModel:
    function = user_function(source)
    with blamed(SourceError):
        model = function()
    if not isinstance(model, UserModel):
        raise SourceError(f"{source} must return an export.keras.UserModel, not {type(model).__name__}")
    return model


def _step(step: Step) -> Step:
    @wraps(step)
    def blamed_step(*args: tf.Tensor, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        with blamed(SignatureError, "step cannot be traced: "):
            return step(*args, **given)

    return blamed_step


def _reference(model: UserModel) -> Reference | None:
    """The user's, with a check of what it gives."""
    reference = model.reference
    if reference is None:
        return None

    def checked(ids: Ids) -> npt.NDArray[np.floating]:
        with blamed(VerificationError, "reference: "):
            logits = np.asarray(reference(ids))
        wanted = (len(ids), model.vocabulary_size)
        if logits.shape != wanted:
            raise VerificationError(f"reference: shape {logits.shape} for {len(ids)} ids is not {wanted}")
        return logits

    return lambda texts, last=0: [checked(ids)[-last:] for ids in texts]


def _tokenizer(path: Path, vocabulary_size: int) -> tuple[Tokenizer, bytes]:
    if not path.is_file():
        raise SourceError(f"{path} is missing")
    data = path.read_bytes()
    parsed = tokenizer_file.parse(data, path)
    tokenizer_file.check(parsed, path, vocabulary_size)
    return parsed, tokenizer_file.prepare(parsed, data)
