"""What `make serve` shows of the output of `serve run`: progress, instead of lines known to be harmless.

Every other line comes through as it is. The hidden ones are kept, and shown if the start fails. Pure.
"""

import re
from collections import deque
from dataclasses import dataclass, field

_HARMLESS = tuple(
    re.compile(pattern)
    for pattern in (
        r"Token authentication is enabled for this Ray cluster",
        r"Running config file: ",
        r"Started a local Ray instance",
        r"Started Serve in namespace",
        r"Throughput optimized Ray Serve enabled|\(ServeController pid=\d+\)\S*\s+(• .*)?$",
        r"fork_posix\.cc:\d+\] Other threads are currently calling into gRPC",
        r"failed call to cuInit|Could not find cuda drivers|Cannot dlopen some GPU libraries",
        r"oneDNN (custom operations are on|supports DT_BOOL only)",
        r"This TensorFlow binary is optimized to use|To enable the following instructions",
        r"All log messages before absl::InitializeLog\(\)",
        r"\)\S* (listening on unix:|stopped$)",
        r"Got KeyboardInterrupt, shutting down",
        r"Task ServeController\.graceful_shutdown failed",
    )
)
_DEPLOYED = re.compile(r"Submitted deploy config successfully")
_LOADED = re.compile(r"serving \{name: (?P<name>\S+) version: (?P<version>\d+)\}")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class ServeOutput:
    """Turns the lines of `serve run`, in their order, into the lines that are shown."""

    models: tuple[str, ...]
    hidden: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    """The newest lines that were not shown."""

    def shown(self, line: str) -> str | None:
        """Returns what to show for `line` (without its line end); None: nothing."""
        plain = _COLORS.sub("", line)
        if _DEPLOYED.search(plain):
            return f"Starting the model servers of {', '.join(self.models)} ..."
        if match := _LOADED.search(plain):
            return f"  {match['name']} version {match['version']} is loaded"
        if not plain.strip() or any(pattern.search(plain) for pattern in _HARMLESS):
            self.hidden.append(line)
            return None
        return line
