"""A user's own model: the examples in docs/keras.md run as they stand, and mistakes are named."""

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tokenizers import Tokenizer

from contract.manifest import Manifest, StateTensor
from export import cli
from export.errors import SignatureError
from export.signatures import step_signature
from export.signatures.servable import ExportedModel
from export.verification.stepper import Stepper

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "keras.md").read_text()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Writes the page's examples into a directory, and trains the first one."""
    directory = tmp_path_factory.mktemp("examples")
    sources = re.findall(r'```python\n("""(\w+)\.py: .*?)```', PAGE, re.DOTALL)
    assert [name for _, name in sources] == ["my_lstm", "my_transformer"]
    for source, name in sources:
        (directory / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.syspath_prepend(directory)
        with warnings.catch_warnings():
            # Keras's own, of numpy.
            warnings.simplefilter("ignore", DeprecationWarning)
            keras.utils.set_random_seed(0)
            importlib.import_module("my_lstm").train()
        yield directory
    for _, name in sources:
        sys.modules.pop(name, None)


def test_the_documented_lstm_is_trained_exported_and_goes_on_with_its_text(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(examples)
    command = re.findall(r"```sh\npython -m export (.*?)\n```", PAGE)[0]
    assert cli.main(command.split()) == 0
    stepper = Stepper(examples / "models" / "my-lstm" / "1")
    tokenizer = Tokenizer.from_buffer(stepper.tokenizer)
    prompt = np.array(tokenizer.encode("The quick bro").ids, np.int32)
    assert tokenizer.decode(stepper.greedy(prompt, 6)) == "wn fox"
    documented = re.findall(r"```json\n(.*?)```", (DOCS / "contract.md").read_text(), re.DOTALL)[0]
    assert stepper.manifest == Manifest.from_json(documented)


def test_the_documented_transformer_keeps_its_keys_and_values(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(examples)
    assert cli.main(["keras", "my_transformer:servable"]) == 0
    stepper = Stepper(examples / "models" / "servable" / "1")
    result = stepper.run([np.array([72, 105, 33], np.int32)])[0]
    assert result.state["past_keys"].shape == (3, 2, 2, 16)
    first = int(result.logits.argmax())
    chosen = stepper.decode([first], [result.state], [3], [5])[0].tokens
    assert [first, *chosen] == stepper.greedy(np.array([72, 105, 33], np.int32), 6)


STATE = (StateTensor("h", "float32", (3,)), StateTensor("past", "float32", (0, 2), growth_axis=0))
MANIFEST = Manifest("m", "keras", vocabulary_size=5, context_length=8, state=STATE)


def _sound(tokens: tf.Tensor, lengths: tf.Tensor, h: tf.Tensor, past: tf.Tensor) -> dict[str, tf.Tensor]:  # noqa: ARG001
    return {
        "logits": tf.zeros([tf.shape(tokens)[0], 5]),
        "h": h,
        "past": tf.zeros([tf.shape(tokens)[0], tf.shape(tokens)[1], 2]),
    }


def _trace(change: Callable[[dict[str, Any]], Any]) -> None:
    def step(**given: tf.Tensor) -> Any:
        return change(_sound(**given))

    step_signature.trace(ExportedModel(MANIFEST, b"", step))


def test_a_sound_step_is_traced() -> None:
    _trace(lambda answer: answer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answer: answer["logits"], "step must return a dict of tensors by name"),
        (
            lambda answer: {"logits": answer["logits"], "past": answer["past"]},
            "step does not return 'h', which the contract asks for",
        ),
        (
            lambda answer: answer | {"extra": answer["h"]},
            "step returns 'extra', which the manifest does not declare",
        ),
        (
            lambda answer: answer | {"h": tf.cast(answer["h"], tf.float16)},
            "output 'h' of step is float16, not float32",
        ),
        (
            lambda answer: answer | {"logits": answer["logits"][:, 1:]},
            "output 'logits' of step has shape (None, 4), not (None, 5)",
        ),
        (
            lambda answer: answer | {"h": answer["h"][:, None]},
            "output 'h' of step has shape (None, 1, 3), not (None, 3)",
        ),
        (
            lambda answer: answer | {"logits": tf.zeros([1, 5])},
            "output 'logits' of step has shape (1, 5): axis 0 must be free",
        ),
        (
            lambda answer: answer | {"logits": tf.zeros_like(answer["past"])[:, :, :1] + tf.zeros(5)},
            "output 'logits' of step has shape (None, None, 5), not (None, 5): only the logits at "
            "each row's last real token are expected",
        ),
        (
            lambda answer: answer | {"past": tf.zeros([tf.shape(answer["h"])[0], 1, 2])},
            "output 'past' of step has shape (None, 1, 2): axis 1 must be free",
        ),
        (lambda answer: answer | {"h": None}, "output 'h' of step must be a tensor, not NoneType"),
    ],
)
def test_the_error_for_a_step_that_breaks_the_contract_says_where(
    change: Callable[..., Any], message: str
) -> None:
    with pytest.raises(SignatureError, match=f"^{re.escape(message)}"):
        _trace(change)


def test_a_step_without_an_argument_for_its_state_is_refused() -> None:
    def step(tokens: tf.Tensor, lengths: tf.Tensor, h: tf.Tensor) -> dict[str, tf.Tensor]:
        return _sound(tokens, lengths, h, h)

    with pytest.raises(
        SignatureError, match=r"^step has no argument 'past', with which the decode loop calls it$"
    ):
        step_signature.trace(ExportedModel(MANIFEST, b"", step))


def test_a_step_that_needs_more_than_the_contract_gives_is_refused() -> None:
    def step(ids: tf.Tensor, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        return _sound(ids, **given)

    message = r"^step asks for 'ids', which is not among 'h', 'lengths', 'past', 'tokens'$"
    with pytest.raises(SignatureError, match=message):
        step_signature.trace(ExportedModel(MANIFEST, b"", step))


@pytest.mark.parametrize("name", ["h-1", "0", "_h", "lstm/h"])
def test_a_state_tensor_must_have_a_name_that_a_signature_keeps(name: str) -> None:
    state = (StateTensor(name, "float32", (3,)),)
    with pytest.raises(
        SignatureError, match=f"^state tensor '{name}' must be named by letters, digits and '_'"
    ):
        step_signature.trace(ExportedModel(replace(MANIFEST, state=state), b"", lambda **given: given))


def test_a_state_of_a_dtype_that_cannot_travel_is_named() -> None:
    with pytest.raises(ValueError, match=r"^h: dtype 'string' is not one of bfloat16, bool, "):
        StateTensor("h", "string", (3,))


def test_the_inputs_are_the_manifests() -> None:
    assert {name: tuple(spec.shape) for name, spec in step_signature.inputs(MANIFEST).items()} == {
        "tokens": (None, None),
        "lengths": (None,),
        "h": (None, 3),
        "past": (None, None, 2),
    }


def test_a_name_that_no_tensor_may_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="'tokens' is reserved"):
        replace(STATE[0], name="tokens")
