"""Completions over HTTP: a real Serve, a fake decoder that echoes."""

import json

import httpx
import pytest

from tests.deployments.application import Application

pytestmark = pytest.mark.processes


def test_a_completion_is_the_text_of_its_tokens(application: Application) -> None:
    answer = httpx.post(f"{application.url}/v1/completions", json={"model": "echo", "prompt": "abc"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["object"] == "text_completion"
    assert body["choices"] == [{"index": 0, "text": "abc", "logprobs": None, "finish_reason": "stop"}]
    assert body["usage"]["prompt_tokens"] == 3
    assert body["usage"]["completion_tokens"] == 4


def test_a_streamed_completion_joins_to_the_same_text(application: Application) -> None:
    asked = {"model": "echo", "prompt": "aé", "stream": True, "stream_options": {"include_usage": True}}
    with httpx.stream("POST", f"{application.url}/v1/completions", json=asked) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert events.pop() == "[DONE]"
    *chunks, usage = [json.loads(event) for event in events]
    assert [c["choices"][0]["text"] for c in chunks] == ["a", "é", ""]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 3 + 4
    assert len({(c["id"], c["created"]) for c in [*chunks, usage]}) == 1
