"""Servables that several tests share, each exported once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export import runtime
from export.options import ExportOptions

runtime.import_tensorflow()

from export import lstm  # noqa: E402
from export.hf.load import load_checkpoint  # noqa: E402
from export.saved_model import write  # noqa: E402
from export.signatures.servable import ExportedModel  # noqa: E402
from export.verification import verify  # noqa: E402
from export.verification.stepper import Stepper  # noqa: E402
from tests.export import golden_files, residents, samples  # noqa: E402

Publish = Callable[[ExportedModel], Path]


@pytest.fixture(scope="session")
def publish(tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Writes and verifies a servable under a base directory of its own."""

    def published(servable: ExportedModel) -> Path:
        base = tmp_path_factory.mktemp("models")
        return write.write(servable, base, None, lambda path: verify.verify(path, servable))

    return published


@pytest.fixture
def gpt2_checkpoint(tmp_path: Path) -> Path:
    return samples.write(tmp_path / "gpt2", samples.GPT2, samples.gpt2_shapes(samples.GPT2))


@pytest.fixture
def lstm_checkpoint(tmp_path: Path) -> Path:
    return samples.write(tmp_path / "lstm", samples.LSTM, lstm.shapes(samples.LSTM_CONFIG))


@pytest.fixture(scope="session", params=["small", "narrow"])
def golden(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def answers(golden: str) -> dict[str, Any]:
    """What the transformers library said of the golden checkpoint."""
    return golden_files.read(samples.GOLDEN, golden).answers


@pytest.fixture(scope="session")
def golden_stepper(golden: str, publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Stepper:
    directory = samples.golden(tmp_path_factory.mktemp("golden") / golden, golden)
    return Stepper(publish(load_checkpoint(directory, golden, ExportOptions())))


@pytest.fixture(scope="session")
def bfloat16_stepper(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Stepper:
    directory = samples.golden(tmp_path_factory.mktemp("golden") / "half", "small")
    return Stepper(publish(load_checkpoint(directory, "half", ExportOptions("bfloat16"))))


@pytest.fixture(scope="session")
def lstm_published(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shapes = lstm.shapes(samples.LSTM_CONFIG)
    directory = samples.write(tmp_path_factory.mktemp("lstm") / "lstm", samples.LSTM, shapes)
    return publish(lstm.load(directory, "lstm"))


@pytest.fixture(scope="session")
def lstm_stepper(lstm_published: Path) -> Stepper:
    return Stepper(lstm_published)


@pytest.fixture(scope="session")
def golden_pools(golden: str, publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version directory of a resident golden servable."""
    return publish(residents.golden(tmp_path_factory.mktemp("golden") / golden, golden))


@pytest.fixture(scope="session")
def pools(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version directory of one of them."""
    return publish(residents.golden(tmp_path_factory.mktemp("golden") / "pools", "small"))


@pytest.fixture(scope="session")
def explicit(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Stepper:
    """The model of `pools` with explicit state."""
    directory = samples.golden(tmp_path_factory.mktemp("golden") / "explicit", "small")
    return Stepper(publish(load_checkpoint(directory, "explicit", ExportOptions())))
