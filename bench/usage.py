"""CPU time and memory of a server's processes, by the part that each plays."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import psutil

MODEL_SERVER = "model server"
_MIB = 2**20
_REPLICA = re.compile(r"ray::ServeReplica:[^:]*:([\w-]+)")
_WORKER = re.compile(r"ray::(\w+)")

CpuSeconds = dict[tuple[int, str], float]
"""CPU seconds since the start of each process, by its id and part."""


def cpu_seconds(processes: Iterable[psutil.Process]) -> CpuSeconds:
    """Reads the CPU time of every process that still runs."""
    seconds: CpuSeconds = {}
    for process in processes:
        try:
            times = process.cpu_times()
            seconds[process.pid, part(process.cmdline(), process.name())] = times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return seconds


def spent(before: CpuSeconds, after: CpuSeconds) -> Mapping[str, float]:
    """Returns the seconds between two readings by part, without processes that began or ended in between."""
    totals: dict[str, float] = defaultdict(float)
    for key in before.keys() & after.keys():
        totals[key[1]] += after[key] - before[key]
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def memory_mib(processes: Iterable[psutil.Process]) -> Mapping[str, float]:
    """Returns the MiB by part that would be free again if the processes ended."""
    total: dict[str, float] = defaultdict(float)
    for process in processes:
        try:
            total[part(process.cmdline(), process.name())] += process.memory_full_info().uss / _MIB
        except psutil.NoSuchProcess:
            continue
    return dict(total)


def part(command: list[str], name: str) -> str:
    """Returns the part that a process plays, from its command line: Ray's workers name it in their title."""
    if any(argument.startswith("--model_base_path=") for argument in command):
        return MODEL_SERVER
    title = " ".join(command)
    found = _REPLICA.match(title) or _WORKER.match(title)
    return found[1] if found else name
