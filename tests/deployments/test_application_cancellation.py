"""A client that disconnects frees its batch row, wherever its request is."""

import json
import socket
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

from tests.deployments.application import Application

pytestmark = pytest.mark.processes


def _request_and_leave(application: Application, **body: object) -> None:
    """Sends a request, waits until the decoder works on it, and closes the connection."""
    content = json.dumps({"model": "echo", "max_tokens": 40, **body}).encode()
    address = urlsplit(application.url)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {address.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    with closing(socket.create_connection((address.hostname, address.port))) as connection:
        connection.sendall(head.encode() + content)
        application.wait_until_running(1)


def test_a_client_that_leaves_in_mid_stream_frees_its_row(application: Application) -> None:
    asked = {"model": "echo", "prompt": "!forever", "stream": True}
    with httpx.stream("POST", f"{application.url}/v1/completions", json=asked) as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(3)][2].startswith("data: ")
        application.wait_until_running(1)
    application.wait_until_running(0)


def test_a_client_that_leaves_before_the_first_token_frees_its_row(application: Application) -> None:
    _request_and_leave(application, prompt="!hang", stream=True)
    application.wait_until_running(0)


def test_a_client_that_leaves_while_it_waits_for_a_whole_answer_frees_its_row(
    application: Application,
) -> None:
    _request_and_leave(application, prompt="!forever")
    application.wait_until_running(0)


def test_a_client_that_leaves_before_the_first_token_of_a_whole_answer_frees_its_row(
    application: Application,
) -> None:
    _request_and_leave(application, prompt="!hang")
    application.wait_until_running(0)


def test_a_stop_string_ends_the_generation_on_the_decoder(application: Application) -> None:
    asked = {"model": "echo", "prompt": "!forever", "stop": "!!!"}
    answer = httpx.post(f"{application.url}/v1/completions", json=asked)
    assert answer.json()["choices"][0]["text"] == ""
    assert answer.json()["usage"]["completion_tokens"] == 3
    application.wait_until_running(0)
