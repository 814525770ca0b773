"""Which tests share a worker process of pytest-xdist (`pytest -n 2`), and in which order they are handed out.

A group's tests share what takes long to make, or must not run beside one another. The process that hands them
out knows their node ids and nothing else of them.
"""

from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

GOLDEN_MODELS = Path(__file__).parent / "export/golden/models"
APPLICATIONS = ("tests/e2e/", "tests/deployments/test_application_")
"""Whole applications, each with a Ray of its own: one at a time."""
MODEL_SERVERS = "tests/modelserver/"
"""They share models and a server."""
FAMILIES = "tests/export/hf/test_families"
"""Every golden case has a group of its own, in each of these modules."""

_CASES = sorted((path.stem for path in GOLDEN_MODELS.glob("*.json")), key=len, reverse=True)


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out a group at a time, in the order in which they were collected."""

    def schedule(self) -> None:
        self.config.option.loadscopereorder = False
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """Returns the group of a test, by its node id; most modules are a group."""
    if nodeid.startswith(APPLICATIONS):
        return "applications"
    if nodeid.startswith(MODEL_SERVERS):
        return MODEL_SERVERS
    module, _, name = nodeid.partition("::")
    case = _case(name) if module.startswith(FAMILIES) else None
    return f"{module}:{case}" if case else module


def turn(nodeid: str) -> int:
    """Orders groups: the longest first, and many short ones last, to fill the gap at the end."""
    if nodeid.startswith(APPLICATIONS):
        return 0
    return 2 if nodeid.startswith(FAMILIES) else 1


def _case(name: str) -> str | None:
    """The golden case among the parameters of a test; the longest where several names fit."""
    parameters = f"-{name.partition('[')[2].removesuffix(']')}-"
    return next((case for case in _CASES if f"-{case}-" in parameters), None)
