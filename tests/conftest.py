"""What holds for all tests: Hypothesis without clocks, and groups of tests for several worker processes."""

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import workers
from tests.once import once
from tests.servers import ROOT

# A busy machine is slow, which says nothing of what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> workers.Scheduler:
    return workers.Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: workers.turn(item.nodeid))


def pytest_collection_finish() -> None:
    """Spares the garbage collector what imports have left: every export runs it several times."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def arithmetic_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The servable of tests/deployments/decoder/arithmetic.py. Tests must not change what is here."""

    def make(base: Path) -> None:
        command = [sys.executable, "-m", "tests.deployments.decoder.arithmetic_servable", str(base)]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)

    return once(tmp_path_factory, "arithmetic", make)
