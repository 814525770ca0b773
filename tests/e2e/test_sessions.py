"""Many sessions at once, also when a model server dies or a client disconnects."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.client import Answer, complete, events, stream
from tests.e2e.conftest import DEMO_MODELS, DRAFTED, EXPLICIT, MODELS

pytestmark = pytest.mark.processes

SESSIONS = 32
OPENINGS = (
    "Once upon a time",
    "The fox",
    "In a village by the sea there lived an old woman who",
    "Tell me a tale about a lantern and a storm.",
)
LONG = {"prompt": "Once upon a time", "max_tokens": 300, "temperature": 0, "ignore_eos": True}


def requests(model: str) -> Iterator[dict[str, Any]]:
    """Yields requests: prompts of 1 to about 250 tokens, answers of 8 to 70, in turn seeded and greedy."""
    for i in range(SESSIONS):
        opening = OPENINGS[i % len(OPENINGS)]
        yield {
            "model": model,
            "prompt": " ".join([opening] * (1 + (i * 7) % 16)),
            "max_tokens": 8 + 2 * i,
            "temperature": 0 if i % 2 else 1.0,
            "top_p": 0.95,
            "seed": i,
            "ignore_eos": True,
        }


@pytest.mark.parametrize("model", [*MODELS, DRAFTED])
async def test_every_session_among_32_gets_exactly_the_text_it_gets_alone(model, client, application):
    bodies = list(requests(model))
    alone = [await complete(client, **body) for body in bodies]
    arrivals = [asyncio.Event() for _ in bodies]

    async def session(i: int, body: dict[str, Any]) -> Answer:
        """Runs request `i`, which starts when the one before it has received its second event."""
        await arrivals[i].wait()
        texts, tokens, finish = [], 0, ""
        count = 0
        async for event in events(client, **body):
            count += 1
            if count == 2 and i + 1 < SESSIONS:
                arrivals[i + 1].set()
            texts += [choice["text"] for choice in event["choices"]]
            finish = next((c["finish_reason"] for c in event["choices"] if c["finish_reason"]), finish)
            tokens = event["usage"]["completion_tokens"] if event["usage"] else tokens
        return Answer("".join(texts), finish, tokens)

    for arrival in arrivals[::4]:
        arrival.set()
    together = await asyncio.gather(*(session(i, body) for i, body in enumerate(bodies)))
    assert together == alone
    assert [answer.tokens for answer in together] == [body["max_tokens"] for body in bodies]
    await application.wait_until_idle(model)


@pytest.mark.parametrize("model", MODELS)
async def test_killing_the_model_server_in_mid_stream_neither_loses_nor_changes_text(
    model, client, application
):
    expected = await complete(client, model=model, **LONG)
    killed = False
    texts = []
    async for event in events(client, model=model, **LONG):
        texts += [choice["text"] for choice in event["choices"]]
        if len(texts) >= 3 and not killed:
            (server,) = application.model_servers(model)
            server.kill()
            killed = True
    assert killed
    assert "".join(texts) == expected.text


@pytest.mark.parametrize("temperature", [0, 1])
async def test_a_draft_model_changes_no_text(client, temperature):
    for seed in range(3):
        body = {"prompt": OPENINGS[seed], "max_tokens": 200, "temperature": temperature, "seed": seed}
        texts = [(await complete(client, model=model, **body)).text for model in (DEMO_MODELS[0], DRAFTED)]
        assert texts[0] == texts[1]


async def test_killing_the_draft_models_server_in_mid_stream_changes_no_text(client, application):
    expected = await complete(client, model=DEMO_MODELS[0], **LONG)

    async def killed_in_a_stream() -> bool:
        """Returns whether the server was killed in a stream, which is so once drafts are accepted."""
        before, killed, texts = await accepted(client), False, []
        async for event in events(client, model=DRAFTED, **LONG):
            texts += [choice["text"] for choice in event["choices"]]
            if not killed and await accepted(client) > before:
                (server,) = application.model_servers(f"{DRAFTED}-draft")
                server.kill()
                killed = True
        assert "".join(texts) == expected.text
        return killed

    # Drafts of a model that is no smaller do not pay, and are tried ever more rarely.
    while not await killed_in_a_stream():
        pass
    before = await accepted(client)
    while await accepted(client) == before:
        assert await complete(client, model=DRAFTED, **LONG) == expected
    await application.wait_until_idle(DRAFTED)


async def accepted(client: httpx.AsyncClient) -> int:
    """Returns how many drafted tokens were accepted so far."""
    return (await client.get("/health")).json()["models"][DRAFTED]["accepted"]


@pytest.mark.parametrize("temperature", [0, 1])
async def test_both_state_layouts_give_the_same_text(client, temperature):
    body = {
        "prompt": "Once upon a time",
        "max_tokens": 200,
        "temperature": temperature,
        "seed": 5,
        "top_k": 40,
    }
    texts = [(await complete(client, model=model, **body)).text for model in (DEMO_MODELS[0], EXPLICIT)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("model", [DEMO_MODELS[0], EXPLICIT])
async def test_a_client_that_leaves_in_mid_stream_frees_its_row_and_state(model, client, application):

    async def leave_after(count: int) -> None:
        seen = 0
        async for _ in events(client, model=model, **LONG):
            seen += 1
            if seen == count:
                return

    stays = asyncio.create_task(stream(client, model=model, **LONG))
    await asyncio.gather(*(leave_after(3 + i) for i in range(8)))
    assert (await stays).tokens == LONG["max_tokens"]
    await application.wait_until_idle(model)


async def test_a_client_that_leaves_without_streaming_frees_its_row_and_state(client, application):
    model = DEMO_MODELS[1]
    body = LONG | {"model": model, "max_tokens": 3000}
    async with httpx.AsyncClient(base_url=application.url, timeout=60) as leaving:
        request = asyncio.create_task(leaving.post("/v1/completions", json=body))
        while (await application.held(client, model))["running"] == 0:
            assert not request.done(), request.result().text
            await asyncio.sleep(0.01)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
    await application.wait_until_idle(model, timeout_s=5)
