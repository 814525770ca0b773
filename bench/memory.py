"""Memory of processes, by the part that each plays."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import psutil

from bench import cpu

_MIB = 2**20


def read(processes: Iterable[psutil.Process]) -> Mapping[str, float]:
    """MiB that would be free again if a process ended, added up by part."""
    total: dict[str, float] = defaultdict(float)
    for process in processes:
        try:
            part = cpu.part(process.cmdline(), process.name())
            total[part] += process.memory_full_info().uss / _MIB
        except psutil.NoSuchProcess:
            continue
    return dict(total)
