"""A result as it is written down: with the machine and the package versions that it was measured on."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("tensorloom", "ray", "tensorflow", "tensorflow-serving-api", "grpcio", "numpy")


@dataclass(frozen=True)
class Machine:
    """The hardware, its load, and the versions in use."""

    cpu: str
    cores: int
    """That this process may use."""
    memory_gib: float
    load_before: float
    """Runnable processes, averaged over the minute before the benchmark."""
    python: str
    packages: dict[str, str]


def describe_machine() -> Machine:
    """Describes this machine as it is now: called before anything is started."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        load_before=os.getloadavg()[0],
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES},
    )


def write_json(path: Path, kind: str, machine: Machine, content: Mapping[str, Any]) -> None:
    """Writes a result of `kind` with the time and the machine."""
    head = {
        "kind": kind,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(machine),
    }
    path.write_text(json.dumps({**head, **content}, indent=1) + "\n")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
