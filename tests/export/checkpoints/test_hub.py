"""A checkpoint that is named by its id on the hub is downloaded: here from a local hub."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from export.checkpoints import hub

pytestmark = pytest.mark.processes

FILES = {
    "config.json": b'{"model_type": "gpt2"}',
    "model.safetensors": b"weights",
    "chat_template.jinja": b"{{ messages }}",
    "pytorch_model.bin": b"the same weights in another form",
}
COMMIT = "0123456789" * 4


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's interface that a download needs."""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        status, headers, body = self._found(self.path.partition("?")[0])
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _found(self, path: str) -> tuple[int, dict[str, str], bytes]:
        name = path.rpartition("/")[2]
        if path == "/api/models/own/tiny/revision/main":
            files = [{"rfilename": file} for file in FILES]
            return 200, {}, json.dumps({"id": "own/tiny", "sha": COMMIT, "siblings": files}).encode()
        if path == f"/api/models/own/tiny/tree/{COMMIT}":
            sizes = {file: (len(body), _digest(body)) for file, body in FILES.items()}
            tree = [{"type": "file", "path": f, "size": n, "oid": oid} for f, (n, oid) in sizes.items()]
            return 200, {}, json.dumps(tree).encode()
        if path == f"/own/tiny/resolve/{COMMIT}/{name}":
            return 200, {"ETag": f'"{_digest(FILES[name])}"', "X-Repo-Commit": COMMIT}, FILES[name]
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"

    def log_message(self, *args: object) -> None:
        """Logs nothing."""


def _digest(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a process that uses this hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    yield {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
    server.shutdown()
    thread.join()
    server.server_close()


def _fetch(source: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Calls `hub.directory` in a separate process: the library reads its environment once."""
    code = "import sys; from export.checkpoints import hub; print(hub.directory(sys.argv[1]))"
    return subprocess.run(
        [sys.executable, "-c", code, source], env=environment, capture_output=True, text=True, timeout=60
    )


def test_an_id_is_fetched_without_weights_in_other_forms(environment: dict[str, str]) -> None:
    directory = Path(_fetch("own/tiny", environment).stdout.strip())
    fetched = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert fetched == {name: body for name, body in FILES.items() if name != "pytorch_model.bin"}


def test_what_was_fetched_is_there_without_the_hub(environment: dict[str, str]) -> None:
    first = _fetch("own/tiny", environment).stdout
    assert first
    assert _fetch("own/tiny", {**environment, "HF_HUB_OFFLINE": "1"}).stdout == first


def test_an_id_that_the_hub_does_not_have(environment: dict[str, str]) -> None:
    message = _fetch("own/none", environment).stderr.strip().splitlines()[-1]
    assert "SourceError: own/none is not a directory, and cannot be downloaded from the hub: 404" in message


def test_a_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    assert hub.directory(str(tmp_path)) == tmp_path
    assert hub.directory("models/none/at/all") == Path("models/none/at/all")
