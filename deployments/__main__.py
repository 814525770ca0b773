"""Serves an application on this machine and prints how to call it: `python -m deployments [CONFIG]`.

Runs `serve run CONFIG` with the variables of `ray_settings` and with HAProxy as its proxy, and prints a
greeting as soon as the application answers. Ray's dashboard and metrics are off without `--dashboard`.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from deployments import haproxy
from deployments.config import AppArgs
from deployments.ray_settings import SETTINGS, UNWATCHED
from deployments.serve_output import ServeOutput

_PAUSE_S = 0.5
_LAST_LINES_S = 5.0
"""How long the last lines of a `serve run` that has ended are waited for."""

GREETING = """
Tensorloom answers at {url} and serves {models}. Try, in another terminal:

  curl {url}/v1/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "{model}", "prompt": "Once upon a time", "max_tokens": 80, "stream": true}}' --no-buffer

or, in Python (`pip install openai`, here: .venv/bin/python):

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="none")
  stream = client.completions.create(model="{model}", prompt="Once upon a time", max_tokens=80, stream=True)
  for chunk in stream:
      print(chunk.choices[0].text, end="", flush=True)

Ctrl-C ends it.
"""


def main(path: Path, dashboard: bool = False) -> int:
    """Runs the application that the configuration file `path` describes; returns the exit code.

    With `dashboard`, Ray's dashboard runs too, and metrics are collected.
    """
    config = yaml.safe_load(path.read_text())
    args = AppArgs.model_validate(config["applications"][0]["args"])
    http = config["http_options"]
    if not _free(http["host"], http["port"]):
        print(
            f"{http['host']}:{http['port']} is in use; set another http_options.port in {path}",
            file=sys.stderr,
        )
        return 1
    command = [sys.executable, "-m", "deployments.serve_run", str(path), *["--dashboard"] * dashboard]
    settings = SETTINGS | ({} if dashboard else UNWATCHED)
    with haproxy.environment() as proxy:
        return _serve(command, {**settings, **proxy, **os.environ}, http, [m.name for m in args.models])


def _serve(command: list[str], environment: dict[str, str], http: dict[str, Any], models: list[str]) -> int:
    # A background command of a script starts with SIGINT ignored, and `serve run` ends only by SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    output = ServeOutput(tuple(models))
    print("Starting Ray and Ray Serve ...", file=sys.stderr, flush=True)
    serve = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    # Ctrl-C signals the whole process group: `serve run` shuts down, and this process waits for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: serve.send_signal(signal.SIGINT))
    url = f"http://{http['host']}:{http['port']}"
    greeted = threading.Event()
    relay = threading.Thread(target=_relay, args=(serve, output), daemon=True)
    for thread in (relay, threading.Thread(target=_greet, args=(url, models, serve, greeted), daemon=True)):
        thread.start()
    status = serve.wait()
    # Processes that outlive `serve run` may hold the pipe open.
    relay.join(_LAST_LINES_S)
    if status and not greeted.is_set():
        print(*output.hidden, sep="\n", file=sys.stderr, flush=True)
    return status


def _relay(serve: "subprocess.Popen[str]", output: ServeOutput) -> None:
    """Prints the lines of `serve run` and of the processes behind it that `output` lets through."""
    assert serve.stdout is not None
    for line in serve.stdout:
        if (shown := output.shown(line.rstrip("\n"))) is not None:
            print(shown, file=sys.stderr, flush=True)


def _free(host: str, port: int) -> bool:
    """Returns whether a port is free. HAProxy would share a used one, and get only some of the requests."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _greet(url: str, models: list[str], serve: "subprocess.Popen[str]", greeted: threading.Event) -> None:
    pause = threading.Event()
    while serve.poll() is None and not _answers(url):
        pause.wait(_PAUSE_S)
    if serve.poll() is None:
        greeted.set()
        print(GREETING.format(url=url, models=", ".join(models), model=models[0]), flush=True)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m deployments")
    parser.add_argument("config", type=Path, nargs="?", default=Path("serve_config.yaml"))
    parser.add_argument("--dashboard", action="store_true", help="with Ray's dashboard and metrics")
    arguments = parser.parse_args()
    sys.exit(main(arguments.config, arguments.dashboard))
