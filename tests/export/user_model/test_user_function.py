"""A user's function, found by its name: an error in it, or in the model that it returns, is one line."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from export import cli
from tests.export import samples

MODULE = """\
import keras
import tensorflow as tf

from contract.manifest import SpecialTokens, StateTensor
from export.keras import UserModel


def step(tokens, lengths, h):
    return {"logits": tf.zeros([tf.shape(tokens)[0], 260]) + h, "h": h}


def reference(ids):
    return [[0.0] * 260 for _ in ids]


def make(**changed):
    described = {
        "step": step,
        "state": (StateTensor("h", "float32", (1,)),),
        "tokenizer": "tokenizer.json",
        "vocabulary_size": 260,
        "context_length": 24,
        "reference": reference,
    }
    return UserModel(**described | changed)
"""
"""The next line is the 26th."""

Module = Callable[..., str]
Failure = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Writes a module with a unique name into the working directory; returns that name."""
    monkeypatch.chdir(tmp_path)
    samples.tokenizer(tmp_path / "tokenizer.json")

    def written(more: str = "", source: str = MODULE, package: str = "") -> str:
        name = f"user_{next(_numbers)}"
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / f"{name}.py").write_text(source + more)
        return f"{package}.{name}" if package else name

    return written


_numbers = itertools.count()


@pytest.fixture
def failure(capfd: pytest.CaptureFixture[str]) -> Failure:
    """Runs an export that fails; returns its error line without the prefix."""

    def run(source: str) -> str:
        assert cli.main(["keras", source, "--name", "m"]) == 1
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        return lines[0].removeprefix("error: ")

    return run


@pytest.mark.parametrize("package", ["", "models_of_mine"])
def test_a_module_of_the_working_directory_is_found_also_in_a_package(module: Module, package: str) -> None:
    source = "\n\nclass Models:\n    @staticmethod\n    def first():\n        return make()\n"
    assert cli.main(["keras", f"{module(source, package=package)}:Models.first", "--name", "m"]) == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import keras\nimport nowhere_at_all\n", "2: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("x = 1\ndef make(:\n", "2: SyntaxError: invalid syntax"),
        ("import json\njson.loads('{')\n", "2: JSONDecodeError: Expecting property name enclosed in"),
        ("def make():\n    return open('none.h5')\n", "2: FileNotFoundError: [Errno 2] No such file"),
    ],
)
def test_an_error_of_the_users_is_shown_with_its_line(
    source: str, message: str, module: Module, failure: Failure
) -> None:
    name = module(source=source)
    assert failure(f"{name}:make").startswith(f"{name}.py:{message}")


def test_an_error_inside_of_a_library_is_shown_with_the_line_that_called_it(
    module: Module, failure: Failure
) -> None:
    name = module("\n\ndef load():\n    return keras.models.load_model('none.keras')\n")
    assert failure(f"{name}:load").startswith(
        f"{name}.py:29: ValueError: File not found: filepath=none.keras"
    )


def test_an_error_of_the_contracts_is_shown_with_its_line(module: Module, failure: Failure) -> None:
    name = module("\n\ndef wrong():\n    return make(state=(StateTensor('h', 'float', (1,)),))\n")
    assert failure(f"{name}:wrong").startswith(f"{name}.py:29: ManifestError: h: dtype 'float' is not one of")


def test_a_step_that_fails_is_shown_with_its_line(module: Module, failure: Failure) -> None:
    name = module(
        "\n\ndef wrong():\n    return make(step=lambda tokens, lengths, h: {'logits': h.nothing})\n"
    )
    assert failure(f"{name}:wrong").startswith(f"step cannot be traced: {name}.py:29: AttributeError: ")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("lambda ids: 1 / 0", "reference: {name}.py:29: ZeroDivisionError: division by zero"),
        ("lambda ids: [[0.0] * 9] * len(ids)", "reference: shape (17, 9) for 17 ids is not (17, 260)"),
        (
            "lambda ids: [[1.0] * 260] * len(ids)",
            "reference: max abs error 1.00e+00 of 'logits' is above 1.00e-04: the reference computes",
        ),
    ],
)
def test_a_wrong_reference_is_refused(reference: str, message: str, module: Module, failure: Failure) -> None:
    name = module(f"\n\ndef wrong():\n    return make(reference={reference})\n")
    assert failure(f"{name}:wrong").startswith(message.format(name=name))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("tokenizer='none.json'", "none.json is missing"),
        (
            "vocabulary_size=255",
            "tokenizer.json gives ids up to 255, but the model's vocabulary has 255 entries",
        ),
        (
            "special_tokens=SpecialTokens(eos=(300,))",
            "special token id 300 is outside the vocabulary of 260",
        ),
        ("context_length=1", "context_length 1 must be at least 2"),
    ],
)
def test_a_language_that_does_not_fit_is_refused(
    changed: str, message: str, module: Module, failure: Failure
) -> None:
    name = module(f"\n\ndef wrong():\n    return make({changed})\n")
    assert failure(f"{name}:wrong") == message


def test_a_name_that_is_no_function(module: Module, failure: Failure) -> None:
    name = module()
    assert failure(f"{name}:keras") == f"{name}:keras is a module, not a function"
    assert failure(f"{name}:make.nothing") == f"module {name} has no function make.nothing"
    assert failure("user_none:make").startswith(
        "module user_none cannot be imported: there is no such module"
    )
