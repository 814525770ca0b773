"""The application through the official client."""

from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from tests.deployments.application import Application

pytestmark = pytest.mark.processes

QUESTION: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "aé"}]


@pytest.fixture
def client(application: Application) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{application.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["echo", "mute", "wide", "mortal"]
    assert client.models.retrieve("echo").owned_by == "tensorloom"


def test_a_completion(client: openai.OpenAI) -> None:
    completion = client.completions.create(model="echo", prompt="aé", temperature=0)
    assert (completion.choices[0].text, completion.choices[0].finish_reason) == ("aé", "stop")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 7


def test_a_streamed_completion(client: openai.OpenAI) -> None:
    chunks = list(client.completions.create(model="echo", prompt="aé", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "aé"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]


def test_a_chat(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(model="echo", messages=QUESTION, max_completion_tokens=3)
    assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("aé", "length")


def test_a_streamed_chat(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="echo", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    *deltas, last = chunks
    assert deltas[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in deltas) == "aé"
    assert deltas[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 4


def test_probabilities_of_a_completion(client: openai.OpenAI) -> None:
    choice = client.completions.create(model="echo", prompt="ab", logprobs=2).choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs.tokens == ["a", "b"]
    assert choice.logprobs.token_logprobs == [-0.5, -0.5]
    assert choice.logprobs.top_logprobs == [{"a": -0.5, "b": -1.5}, {"b": -0.5, "c": -1.5}]
    assert choice.logprobs.text_offset == [0, 1]


def test_probabilities_of_a_streamed_chat(client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(
        model="echo", messages=QUESTION, stream=True, logprobs=True, top_logprobs=1
    )
    told = [chunk.choices[0].logprobs for chunk in chunks]
    tokens = [token for each in told if each for token in each.content or ()]
    assert bytes(byte for token in tokens for byte in token.bytes or ()).decode() == "aé"
    assert [(token.logprob, token.top_logprobs[0].logprob) for token in tokens] == [(-0.5, -0.5)] * 3


def test_what_the_client_has_fields_for_is_taken(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(
        model="echo",
        messages=QUESTION,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        logit_bias={"97": 1},
        extra_body={
            "repetition_penalty": 1.1,
            "min_tokens": 1,
            "stop_token_ids": [5],
            "allowed_token_ids": [97],
        },
    )
    assert chat.choices[0].message.content == "aé"
    with pytest.raises(openai.BadRequestError, match="token id 258 of logit_bias") as outside:
        client.chat.completions.create(model="echo", messages=QUESTION, logit_bias={"258": 1})
    assert outside.value.param == "logit_bias"


def test_failures_are_the_clients_own_classes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist") as missing:
        client.completions.create(model="gone", prompt="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="less than or equal to 2") as bad:
        client.completions.create(model="echo", prompt="a", temperature=3)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.RateLimitError) as full:
        client.completions.create(model="echo", prompt="!overloaded")
    assert full.value.response.headers["retry-after"] == "1"
    with pytest.raises(openai.InternalServerError):
        client.completions.create(model="echo", prompt="!unavailable")


def test_a_failure_in_mid_stream_is_raised(client: openai.OpenAI) -> None:
    stream = client.completions.create(model="echo", prompt="!break", stream=True)
    with pytest.raises(openai.APIError, match="went away"):
        list(stream)
