"""Exports a user's own model: a function named as `module:function` returns a `UserModel`.

See docs/keras.md for how to write one.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tokenizers import Tokenizer

from contract.manifest import GenerationDefaults, Manifest, SpecialTokens, StateTensor
from contract.tensors import Ids
from export.errors import SignatureError, SourceError, VerificationError
from export.language import special_tokens, tokenizer_file
from export.signatures import explicit_decode
from export.signatures.servable import ExportedModel, Reference, StepFunction
from export.user_errors import errors_located
from export.user_model.stepwise import StepwiseModel
from export.user_model.user_function import find_function

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UserModel:
    """A model as a user's function describes it."""

    step: StepFunction
    """Called by keyword with `tokens`, `lengths` and each tensor of `state`, all batched.

    Returns a dict of `logits` and the new state, as the contract's signature `step` does.
    """
    state: tuple[StateTensor, ...]
    tokenizer: str | Path
    """The path of a `tokenizer.json`."""
    vocabulary_size: int
    context_length: int
    special_tokens: SpecialTokens = field(default_factory=SpecialTokens)
    generation: GenerationDefaults = field(default_factory=GenerationDefaults)
    chat_template: str | None = None
    reference: Callable[[Ids], npt.ArrayLike] | None = None
    """Returns logits (time, vocabulary) of token ids (time,), computed independently of `step`.

    None: the servable is compared only with itself.
    """
    exact: bool = True
    """Whether all is computed in float32.

    If so, larger errors than its rounding fail the verification; if not, they are only reported.
    """


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
    """Describes a functional or Sequential Keras model with recurrent layers, from token ids to logits.

    A final softmax is left out. The state is that of the recurrent layers; the reference is `model` itself,
    run on whole sequences. `positionwise` names layers of unknown types that treat each position by itself.
    Raises UnsupportedError, naming the layer, if the model cannot be run step by step.
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
    """Calls `source`, a `module:function`, and turns the UserModel that it returns into an ExportedModel.

    Raises SourceError if that fails.
    """
    logger.info("reading %s", source)
    _check_backend()
    model = _called(source)
    tokenizer, data = _tokenizer(Path(model.tokenizer), model.vocabulary_size)
    manifest = Manifest(
        name=name,
        family="keras",
        vocabulary_size=model.vocabulary_size,
        context_length=model.context_length,
        state=tuple(model.state),
        decode_steps=explicit_decode.MAX_STEPS,
        special_tokens=special_tokens.with_texts(model.special_tokens, tokenizer),
        generation=model.generation,
        chat_template=model.chat_template,
    )
    return ExportedModel(manifest, data, _step(model.step), _reference(model), model.exact)


def _check_backend() -> None:
    if (backend := keras.backend.backend()) != "tensorflow":
        raise SourceError(f"Keras runs on {backend} here; set KERAS_BACKEND=tensorflow")


def _called(source: str) -> UserModel:
    function = find_function(source)
    with errors_located(SourceError):
        model = function()
    if not isinstance(model, UserModel):
        raise SourceError(f"{source} must return an export.keras.UserModel, not {type(model).__name__}")
    return model


def _step(step: StepFunction) -> StepFunction:
    @wraps(step)
    def located_step(*args: tf.Tensor, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        with errors_located(SignatureError, "step cannot be traced: "):
            return step(*args, **inputs)

    return located_step


def _reference(model: UserModel) -> Reference | None:
    """Wraps the user's reference with a check of its output's shape."""
    reference = model.reference
    if reference is None:
        return None

    def checked(ids: Ids) -> npt.NDArray[np.floating]:
        with errors_located(VerificationError, "reference: "):
            logits = np.asarray(reference(ids))
        expected = (len(ids), model.vocabulary_size)
        if logits.shape != expected:
            raise VerificationError(f"reference: shape {logits.shape} for {len(ids)} ids is not {expected}")
        return logits

    return lambda sequences, last=0: [checked(ids)[-last:] for ids in sequences]


def _tokenizer(path: Path, vocabulary_size: int) -> tuple[Tokenizer, bytes]:
    if not path.is_file():
        raise SourceError(f"{path} is missing")
    data = path.read_bytes()
    parsed = tokenizer_file.parse(data, path)
    tokenizer_file.check(parsed, path, vocabulary_size)
    return parsed, tokenizer_file.prepare(parsed, data)
