"""CPU time and memory of a server's processes, by the part that each plays."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

MODEL_SERVER = "model server"
OTHER = "other"
_ROLES = {
    MODEL_SERVER: MODEL_SERVER,
    "Ingress": "ingress",
    "Detokenizer": "detokenizer",
    "haproxy": "proxy",
    "ProxyActor": "proxy",
    "HAProxyManager": "proxy",
}
ROLES = (MODEL_SERVER, "decoder", "ingress", "detokenizer", "proxy", OTHER)
"""The parts of this application that a CPU table tells apart."""
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


def own_mib(processes: Iterable[psutil.Process]) -> Mapping[str, float]:
    """Returns the MiB by part that would be free again if the processes ended."""
    return _memory(processes, lambda process: process.memory_full_info().uss)


def resident_mib(processes: Iterable[psutil.Process]) -> Mapping[str, float]:
    """Returns the resident MiB by part; a page is divided among the processes that share it."""
    return _memory(processes, lambda process: process.memory_full_info().pss)


def _memory(
    processes: Iterable[psutil.Process], taken: Callable[[psutil.Process], int]
) -> Mapping[str, float]:
    total: dict[str, float] = defaultdict(float)
    for process in processes:
        try:
            total[part(process.cmdline(), process.name())] += taken(process) / _MIB
        except psutil.NoSuchProcess:
            continue
    return dict(total)


def role(part: str) -> str:
    """Returns the column of a CPU table that a part of this application belongs to."""
    if part.startswith("decoder-"):
        return "decoder"
    return _ROLES.get(part, OTHER)


def by_role(parts: Mapping[str, float]) -> Mapping[str, float]:
    """Adds the parts' figures up, with an entry for every role."""
    total = dict.fromkeys(ROLES, 0.0)
    for each, value in parts.items():
        total[role(each)] += value
    return total


def part(command: list[str], name: str) -> str:
    """Returns the part that a process plays, from its command line: Ray's workers name it in their title."""
    if any(argument.startswith("--model_base_path=") for argument in command):
        return MODEL_SERVER
    title = " ".join(command)
    found = _REPLICA.match(title) or _WORKER.match(title)
    scripts = [Path(argument).stem for argument in command if argument.endswith(".py")]
    return found[1] if found else scripts[0] if scripts else name
