"""Servables that several tests share, each exported once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from export import runtime
from export.options import INT8, ExportOptions

runtime.import_tensorflow()

from export import lstm  # noqa: E402
from export.hf.load import load_checkpoint  # noqa: E402
from export.saved_model import write  # noqa: E402
from export.signatures.servable import ExportedModel  # noqa: E402
from export.verification import verify  # noqa: E402
from export.verification.pool_stepper import PoolStepper  # noqa: E402
from export.verification.stepper import Stepper  # noqa: E402
from tests.export import golden_files, residents, samples  # noqa: E402
from tests.once import once  # noqa: E402

Publish = Callable[[ExportedModel], Path]
PublishOnce = Callable[[str, Callable[[Path], ExportedModel]], Path]


def _published(servable: ExportedModel, base: Path) -> Path:
    return write.write(servable, base, None, lambda path: verify.verify(path, servable))


@pytest.fixture(scope="session")
def publish(tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Writes and verifies a servable under a base directory of its own."""
    return lambda servable: _published(servable, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def publish_once(tmp_path_factory: pytest.TempPathFactory) -> PublishOnce:
    """Writes and verifies what a function loads, the first time that any worker asks for it by its name."""

    def published(name: str, load: Callable[[Path], ExportedModel]) -> Path:
        checkpoint = tmp_path_factory.mktemp("checkpoint") / name
        base = once(tmp_path_factory, name, lambda base: _published(load(checkpoint), base))
        (version,) = base.glob("*/1")
        return version

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
def explicit_of(publish_once: PublishOnce) -> Callable[[str], Stepper]:
    """Returns a golden checkpoint's servable with explicit state, loaded; tests share one."""

    @cache
    def explicit(name: str) -> Stepper:
        def load(directory: Path) -> ExportedModel:
            return load_checkpoint(samples.golden(directory, name), name, ExportOptions())

        return Stepper(publish_once(f"{name}-explicit", load))

    return explicit


@pytest.fixture(scope="session")
def pools_of(publish_once: PublishOnce) -> Callable[[str], Path]:
    """Returns the version directory of a golden checkpoint's servable with resident state."""
    return lambda name: publish_once(f"{name}-resident", lambda directory: residents.golden(directory, name))


@pytest.fixture(scope="session")
def int8_pools(publish_once: PublishOnce) -> Path:
    """The version directory of the small golden servable with a pool of int8."""

    def load(directory: Path) -> ExportedModel:
        return residents.golden(directory, "small", keys_values=INT8)

    return publish_once("small-int8-pool", load)


@pytest.fixture(scope="session")
def pool_of(pools_of: Callable[[str], Path]) -> Callable[[str], PoolStepper]:
    """Returns the servable of `pools_of`, loaded; tests share one, and each must claim its own pool."""
    return cache(lambda name: PoolStepper(pools_of(name)))


@pytest.fixture(scope="session")
def golden_stepper(golden: str, explicit_of: Callable[[str], Stepper]) -> Stepper:
    return explicit_of(golden)


@pytest.fixture(scope="session")
def explicit(explicit_of: Callable[[str], Stepper]) -> Stepper:
    """The model of `pools` with explicit state."""
    return explicit_of("small")


@pytest.fixture(scope="session")
def bfloat16_stepper(publish_once: PublishOnce) -> Stepper:
    def load(directory: Path) -> ExportedModel:
        return load_checkpoint(samples.golden(directory, "small"), "half", ExportOptions("bfloat16"))

    return Stepper(publish_once("small-bfloat16", load))


@pytest.fixture(scope="session")
def lstm_published(publish_once: PublishOnce) -> Path:
    def load(directory: Path) -> ExportedModel:
        shapes = lstm.shapes(samples.LSTM_CONFIG)
        return lstm.load(samples.write(directory, samples.LSTM, shapes), "lstm")

    return publish_once("lstm", load)


@pytest.fixture(scope="session")
def lstm_stepper(lstm_published: Path) -> Stepper:
    return Stepper(lstm_published)


@pytest.fixture(scope="session")
def golden_pool(golden: str, pool_of: Callable[[str], PoolStepper]) -> PoolStepper:
    """A golden servable with resident state."""
    return pool_of(golden)


@pytest.fixture(scope="session")
def int8_pool(int8_pools: Path) -> PoolStepper:
    """The servable of `int8_pools`, loaded; tests share it, and each must claim its own pool."""
    return PoolStepper(int8_pools)


@pytest.fixture(scope="session")
def loaded(pool_of: Callable[[str], PoolStepper]) -> PoolStepper:
    """The servable of `pools`."""
    return pool_of("small")


@pytest.fixture(scope="session")
def pools(pools_of: Callable[[str], Path]) -> Path:
    """The version directory of the small golden servable with resident state."""
    return pools_of("small")
