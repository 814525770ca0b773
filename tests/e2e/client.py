"""A small HTTP client for tests: completions, streamed or not, as text and token counts."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

TIMEOUT_S = 120


@dataclass(frozen=True)
class Answer:
    text: str
    finish: str
    tokens: int


def open_client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=200)
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits)


async def complete(client: httpx.AsyncClient, **body: Any) -> Answer:
    """Requests a completion without streaming."""
    response = await client.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    choice, usage = response.json()["choices"][0], response.json()["usage"]
    return Answer(choice["text"], choice["finish_reason"], usage["completion_tokens"])


async def events(client: httpx.AsyncClient, **body: Any) -> AsyncIterator[dict[str, Any]]:
    """Requests a streamed completion and yields its events, up to [DONE]."""
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    async with client.stream("POST", "/v1/completions", json=body) as response:
        assert response.status_code == 200, await response.aread()
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                return
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                assert "error" not in event, event
                yield event
    raise AssertionError("the stream ended without [DONE]")


async def stream(client: httpx.AsyncClient, **body: Any) -> Answer:
    """Requests a streamed completion and joins its events to one answer."""
    texts, finish, tokens = [], "", 0
    async for event in events(client, **body):
        for choice in event["choices"]:
            texts.append(choice["text"])
            finish = choice["finish_reason"] or finish
        if event["usage"]:
            tokens = event["usage"]["completion_tokens"]
    return Answer("".join(texts), finish, tokens)
