"""A user's own model: the example in docs/contract.md runs as it stands, and mistakes are named."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from contract.manifest import Manifest, StateTensor
from export import cli, signature
from export.errors import SignatureError
from export.servable import Servable
from export.stepper import Stepper

DOCUMENT = Path(__file__).parents[2] / "docs" / "contract.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which the page's example lies as `my_gru.py`."""
    source = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[0]
    (tmp_path / "my_gru.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_documented_example_exports_and_generates(example: Path) -> None:
    command = re.findall(r"```sh\npython -m export (.*?)\n```", DOCUMENT.read_text())[0]
    assert cli.main(command.split()) == 0
    stepper = Stepper(example / "models" / "my-gru" / "1")
    assert len(stepper.greedy(np.array([72, 105], np.int32), 5)) == 5
    documented = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[0]
    assert stepper.manifest == Manifest.from_json(documented)


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

    signature.trace(Servable(MANIFEST, b"", step))


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
    ],
)
def test_a_step_that_breaks_the_contract_is_told_where(change: Callable[..., Any], message: str) -> None:
    with pytest.raises(SignatureError, match=f"^{re.escape(message)}"):
        _trace(change)


def test_a_step_without_an_argument_for_its_state_is_told() -> None:
    def step(tokens: tf.Tensor, lengths: tf.Tensor, h: tf.Tensor) -> dict[str, tf.Tensor]:
        return _sound(tokens, lengths, h, h)

    with pytest.raises(SignatureError, match=r"step cannot be traced: .*past"):
        signature.trace(Servable(MANIFEST, b"", step))


def test_the_inputs_are_the_manifests() -> None:
    assert {name: tuple(spec.shape) for name, spec in signature.inputs(MANIFEST).items()} == {
        "tokens": (None, None),
        "lengths": (None,),
        "h": (None, 3),
        "past": (None, None, 2),
    }


def test_a_name_that_no_tensor_may_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="'tokens' is reserved"):
        replace(STATE[0], name="tokens")
