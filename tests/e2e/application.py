"""The application as `make serve` runs it, in processes of its own, used over HTTP only."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

ROOT = Path(__file__).parent.parent.parent
READY_S = 180
IDLE = {"waiting": 0, "running": 0, "states": 0, "state_bytes": 0}
_POLL_S = 0.1


class Application:
    """The application of `config` on a free port, with its own Ray; ready once the block is entered."""

    def __init__(self, config: dict[str, Any], directory: Path) -> None:
        self._log_path = directory / "serve.log"
        self._config_path = directory / "serve_config.yaml"
        self._config = config | {"http_options": {"host": "127.0.0.1", "port": _free_port()}}
        # It contains Ray's sockets; the path of a Unix socket has at most 107 characters.
        self._ray_directory = tempfile.TemporaryDirectory(
            prefix="ray", dir="/tmp", ignore_cleanup_errors=True
        )
        self.url = f"http://127.0.0.1:{self._config['http_options']['port']}"

    def __enter__(self) -> "Application":
        self._config_path.write_text(yaml.safe_dump(self._config))
        environment = {
            **os.environ,
            "RAY_TMPDIR": self._ray_directory.name,
            "RAY_AUTH_MODE": "disabled",
        }
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deployments", self._config_path],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def stop(self) -> None:
        """Stops it as Ctrl-C does, and kills the processes that are left after a minute."""
        family = [self.process, *psutil.Process(self.process.pid).children(recursive=True)]
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for process in family:
            if isinstance(process, psutil.Process) and process.is_running():
                process.kill()
        self._ray_directory.cleanup()

    def model_servers(self, model: str) -> list[psutil.Process]:
        """Returns the managed model servers of `model` that run now."""
        return [
            process
            for process in psutil.Process(self.process.pid).children(recursive=True)
            if f"--model_name={model}" in _command(process) and "--port=0" in _command(process)
        ]

    def replicas(self, deployment: str) -> list[psutil.Process]:
        """Returns the processes of a deployment's replicas."""
        title = f"ray::ServeReplica:tensorloom:{deployment}"
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in family if " ".join(_command(process)).startswith(title)]

    def proxies(self) -> list[psutil.Process]:
        """Returns the HAProxy processes; a replaced one runs until its last connection has ended."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [
            process
            for process in family
            if _command(process)[:1] and _command(process)[0].endswith("/haproxy")
        ]

    def dashboard(self) -> list[psutil.Process]:
        """Returns the processes in which the parts of Ray's dashboard run."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in family if " ".join(_command(process)).startswith("ray-dashboard-")]

    async def wait_until_idle(self, model: str, timeout_s: float = 30) -> None:
        """Waits until no sequence of `model` waits, runs or holds state; AssertionError after `timeout_s`."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            deadline = time.monotonic() + timeout_s
            while (held := await self.held(client, model)) != IDLE:
                assert time.monotonic() < deadline, f"{model} still holds {held}"
                await asyncio.sleep(_POLL_S)

    async def held(self, client: httpx.AsyncClient, model: str) -> dict[str, int]:
        """Returns what the decoder of `model` holds now, from /health."""
        status = (await client.get("/health")).json()["models"][model]
        return {name: status[name] for name in IDLE}

    def wait_until_ready(self) -> None:
        """Waits until every model can answer; AssertionError with the log after READY_S."""
        self.wait_until(lambda health: health["status"] == "ok")

    def wait_until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Waits until the body of /health fulfils `condition`; AssertionError with the log after READY_S."""
        for _ in self._attempts():
            try:
                answer = httpx.get(f"{self.url}/health", timeout=10)
            except httpx.TransportError:
                continue
            if answer.status_code in (200, 503) and "status" in answer.json() and condition(answer.json()):
                return
        raise AssertionError(f"/health does not fulfil the condition after {READY_S} s:\n{self.log}")

    def _attempts(self) -> Iterator[None]:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the application ended:\n{self.log}"
            yield
            time.sleep(_POLL_S)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
