"""CPU time of the application's processes, by the part that each plays."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import psutil

MODEL_SERVER = "model server"
_REPLICA = re.compile(r"ray::ServeReplica:[^:]*:([\w-]+)")
_WORKER = re.compile(r"ray::(\w+)")

Seconds = dict[tuple[int, str], float]
"""CPU seconds since the start of each process, by its id and part."""


def read(processes: Iterable[psutil.Process]) -> Seconds:
    seconds: Seconds = {}
    for process in processes:
        try:
            times = process.cpu_times()
            seconds[process.pid, part(process.cmdline(), process.name())] = times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return seconds


def spent(before: Seconds, after: Seconds) -> Mapping[str, float]:
    """Seconds by part; processes that began or ended in between do not count."""
    totals: dict[str, float] = defaultdict(float)
    for key in before.keys() & after.keys():
        totals[key[1]] += after[key] - before[key]
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def part(command: list[str], name: str) -> str:
    """What a process does, from its command line: Ray's workers say so in their title."""
    if any(argument.startswith("--model_base_path=") for argument in command):
        return MODEL_SERVER
    title = " ".join(command)
    found = _REPLICA.match(title) or _WORKER.match(title)
    return found[1] if found else name
