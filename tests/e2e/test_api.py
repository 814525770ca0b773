"""The API of the real application: the official client, limits and errors."""

import asyncio
import re
from collections.abc import Iterator

import httpx
import openai
import psutil
import pytest

from export.demo import corpus
from tests.e2e.application import Application
from tests.e2e.client import complete, events
from tests.e2e.conftest import DEMO_MODELS, EXPLICIT
from tests.servers import ModelServer

pytestmark = pytest.mark.processes

GPT = DEMO_MODELS[0]
CHAT = [{"role": "user", "content": "Tell me a tale about a fox."}]


@pytest.fixture
def official(application: Application) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{application.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", DEMO_MODELS)
def test_a_seeded_stream_joins_to_the_whole_answer(official, model):
    body = {"model": model, "prompt": "Once upon a time", "max_tokens": 60, "seed": 11}
    whole = official.completions.create(**body)
    chunks = official.completions.create(**body, stream=True, stream_options={"include_usage": True})
    texts, usage = [], None
    for chunk in chunks:
        texts += [choice.text for choice in chunk.choices]
        usage = chunk.usage or usage
    assert "".join(texts) == whole.choices[0].text
    assert usage == whole.usage


@pytest.fixture(scope="module")
def vocabulary() -> set[str]:
    """The words of the texts that the demo models were trained on."""
    return {word for document in corpus.documents(seed=1, count=1000) for word in words(document)}


def words(text: str) -> list[str]:
    return re.findall("[a-z]+", text.lower())


@pytest.mark.parametrize("model", DEMO_MODELS)
def test_the_demo_models_chat_in_sentences_of_their_world(official, vocabulary, model):
    answer = official.chat.completions.create(model=model, messages=CHAT, seed=1, max_tokens=120)
    text = answer.choices[0].message.content
    known = [word in vocabulary for word in words(text)]
    assert sum(known) > 0.97 * len(known) > 40
    assert text[0].isupper()
    assert text.count(".") >= 3


def test_a_stop_string_ends_the_text_before_it(official):
    body = {"model": GPT, "prompt": "Once upon a time", "max_tokens": 120, "temperature": 0}
    whole = official.completions.create(**body).choices[0].text
    words = whole.split()
    stop = " ".join(words[6:8])
    stopped = official.completions.create(**body, stop=[stop]).choices[0]
    assert stopped.finish_reason == "stop"
    assert stopped.text == whole[: whole.index(stop)]


def test_errors_have_openais_classes_and_codes(official):
    with pytest.raises(openai.NotFoundError) as unknown:
        official.completions.create(model="nobody", prompt="a")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        official.completions.create(model=GPT, prompt="a", max_tokens=100_000)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        official.completions.create(model=GPT, prompt="a", temperature=-1)
    with pytest.raises(openai.BadRequestError, match="16"):
        official.completions.create(model="arithmetic", prompt=[16])


async def test_past_the_bounds_of_the_queue_requests_get_429_and_the_others_go_on(client):
    """Two run and two wait (conftest); any other request gets 429 until one of them ends."""
    body = {"model": "arithmetic", "prompt": [1, 2], "max_tokens": 500, "temperature": 0, "ignore_eos": True}
    answers = await asyncio.gather(*(client.post("/v1/completions", json=body) for _ in range(12)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 4
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) >= 1
    texts = {answer.json()["choices"][0]["text"] for answer in answers if answer.status_code == 200}
    assert len(texts) == 1


async def test_without_a_model_server_requests_get_503_and_work_again_once_it_is_back(
    client: httpx.AsyncClient, external_server: ModelServer
):
    body = {"model": "arithmetic", "prompt": [1, 2], "max_tokens": 4, "temperature": 0}
    before = await complete(client, **body)
    external_server.kill()
    try:
        answer = await client.post("/v1/completions", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_server_unavailable")
        assert "retry-after" in answer.headers
        assert (await client.get("/health")).status_code == 503
    finally:
        external_server.start()
        external_server.wait_until_ready()
    async with asyncio.timeout(30):
        while (await client.get("/health")).status_code != 200:
            await asyncio.sleep(0.1)
    assert await complete(client, **body) == before


async def test_every_answer_carries_a_request_id(client):
    body = {"model": GPT, "prompt": "a", "max_tokens": 1}
    mine = await client.post("/v1/completions", json=body, headers={"x-request-id": "mine"})
    assert mine.headers["x-request-id"] == "mine"
    for answer in (await client.post("/v1/completions", json={}), await client.get("/v1/models")):
        assert answer.headers["x-request-id"]


async def test_a_stream_ends_with_its_usage(client):
    last = [e async for e in events(client, model=GPT, prompt="The fox", max_tokens=9, ignore_eos=True)][-1]
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 9)


def test_a_prompt_that_goes_on_with_an_earlier_text_starts_from_its_state(official):
    body = {"model": GPT, "max_tokens": 30, "temperature": 0}
    prompt = "Once upon a time there was a fox who lived in the wood beside an old mill with a hen."
    first = official.completions.create(**body, prompt=prompt)
    turn = prompt + first.choices[0].text + " And then"
    second = official.completions.create(**body, prompt=turn)
    cached = second.usage.prompt_tokens_details.cached_tokens
    assert 16 <= cached < second.usage.prompt_tokens
    assert cached >= first.usage.prompt_tokens
    explicit = official.completions.create(**{**body, "model": EXPLICIT}, prompt=turn)
    assert explicit.usage.prompt_tokens_details.cached_tokens == 0
    assert second.choices[0].text == explicit.choices[0].text


def test_rays_dashboard_does_not_run_unasked(application):
    assert application.dashboard() == []


def test_haproxy_is_in_front_and_listens_on_the_host_of_the_configuration_alone(application):
    (proxy,) = application.proxies()
    addresses = {c.laddr.ip for c in proxy.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}
