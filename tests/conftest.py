"""What holds for all tests: Hypothesis without clocks, and which tests share a worker process.

`make test` runs two workers. Each takes one group of tests at a time (pytest-xdist's `loadgroup`).
"""

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.once import once
from tests.servers import ROOT

# A busy machine is slow, which says nothing of what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

TESTS = Path(__file__).parent
APPLICATIONS = ("deployments", "e2e")
"""Whose processes are those of whole applications, each with a Ray of its own: one at a time."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives every test its group. The longest groups come first: short ones fill the gaps at the end."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Spares the garbage collector what imports have left: every export runs it several times."""
    gc.collect()
    gc.freeze()


def _group(item: pytest.Item) -> str:
    """Tests that share what takes long to make, or must not run beside one another."""
    module = item.path.relative_to(TESTS)
    if item.get_closest_marker("processes"):
        return "applications" if module.parts[0] in APPLICATIONS else module.parts[0]
    case = _case(item)
    return f"{module}:{case}" if case else str(module)


def _turn(item: pytest.Item) -> int:
    if not item.get_closest_marker("processes"):
        return 3 if _case(item) else 2
    return 0 if item.path.relative_to(TESTS).parts[0] in APPLICATIONS else 1


def _case(item: pytest.Item) -> str | None:
    """The golden case of a test whose module runs through all of them."""
    call = getattr(item, "callspec", None)
    return call.params.get("golden_case") if call else None


@pytest.fixture(scope="session")
def arithmetic_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The servable of tests/deployments/decoder/arithmetic.py. Tests must not change what is here."""

    def make(base: Path) -> None:
        command = [sys.executable, "-m", "tests.deployments.decoder.arithmetic_servable", str(base)]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)

    return once(tmp_path_factory, "arithmetic", make)
