"""The machine and the versions that figures belong to."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

_PACKAGES = ("tensorloom", "ray", "tensorflow", "tensorflow-serving-api", "grpcio", "numpy")


@dataclass(frozen=True)
class Machine:
    cpu: str
    cores: int
    """That this process may use."""
    memory_gib: float
    load_before: float
    """Runnable processes, averaged over the minute before the benchmark."""
    python: str
    packages: dict[str, str]


def describe() -> Machine:
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        load_before=os.getloadavg()[0],
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES},
    )


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
