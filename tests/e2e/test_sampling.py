"""The sampling parameters of requests, in the whole application with its real model servers."""

import itertools
import math
from typing import Any

import openai
import pytest
from tokenizers import Tokenizer

from tests.e2e.application import ROOT, Application
from tests.e2e.conftest import DEMO_MODELS, EXPLICIT

pytestmark = pytest.mark.processes

RESIDENT = DEMO_MODELS[0]
LAYOUTS = (RESIDENT, EXPLICIT)
PROMPT = "Once upon a time"
TOKENIZER = Tokenizer.from_file(str(ROOT / "demo" / RESIDENT / "tokenizer.json"))


async def choice(client: Any, **body: Any) -> dict[str, Any]:
    asked = {"prompt": PROMPT, "max_tokens": 60, "temperature": 0, **body}
    response = await client.post("/v1/completions", json=asked)
    assert response.status_code == 200, response.text
    first: dict[str, Any] = response.json()["choices"][0]
    return first


def ids(text: str) -> list[int]:
    encoded: list[int] = TOKENIZER.encode(text).ids
    return encoded


@pytest.mark.parametrize(
    "asked",
    [
        {"presence_penalty": 1.5},
        {"frequency_penalty": 0.75, "temperature": 1, "seed": 3},
        {"repetition_penalty": 1.25},
        {"logit_bias": {str(token): -100 for token in ids(" the and a")}},
        {"temperature": 1, "seed": 4, "min_tokens": 50, "stop_token_ids": ids(".")},
        {"temperature": 1, "seed": 5, "allowed_token_ids": ids("Once upon a time there was a brave fox.")},
        {
            "temperature": 1,
            "seed": 6,
            "top_k": 50,
            "presence_penalty": 0.5,
            "frequency_penalty": 0.25,
            "repetition_penalty": 1.125,
            "logit_bias": {str(ids(" fox")[0]): 3},
            "min_tokens": 20,
        },
    ],
)
async def test_both_state_layouts_give_the_same_tokens_and_probabilities(client, asked):
    resident, explicit = [await choice(client, model=model, logprobs=3, **asked) for model in LAYOUTS]
    assert resident["text"] == explicit["text"]
    assert resident["finish_reason"] == explicit["finish_reason"]
    actual, expected = resident["logprobs"], explicit["logprobs"]
    assert actual["tokens"] == expected["tokens"]
    assert actual["token_logprobs"] == pytest.approx(expected["token_logprobs"], abs=1e-3)
    assert actual["text_offset"] == expected["text_offset"]


@pytest.mark.parametrize("model", LAYOUTS)
async def test_probabilities_belong_to_the_tokens_of_the_text(client, model):
    answer = await choice(client, model=model, logprobs=5)
    logprobs = answer["logprobs"]
    assert "".join(logprobs["tokens"]) == answer["text"]
    assert logprobs["text_offset"] == [*itertools.accumulate(map(len, logprobs["tokens"][:-1]), initial=0)]
    for token, logprob, top in zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        # Greedy decoding: the token is the likeliest.
        assert max(top, key=top.__getitem__) == token
        assert top[token] == logprob
        assert sum(map(math.exp, top.values())) <= 1 + 1e-4


@pytest.mark.parametrize("model", [*LAYOUTS, DEMO_MODELS[1]])
async def test_penalties_make_a_text_of_more_different_tokens(client, model):
    plain = await choice(client, model=model, max_tokens=120, ignore_eos=True, logprobs=0)
    varied = await choice(
        client, model=model, max_tokens=120, ignore_eos=True, logprobs=0, frequency_penalty=2
    )
    assert len(set(varied["logprobs"]["tokens"])) > len(set(plain["logprobs"]["tokens"]))


@pytest.mark.parametrize("model", LAYOUTS)
async def test_a_stop_token_ends_the_text_and_only_after_its_least_length(client, model):
    stop = {"stop_token_ids": ids("."), "max_tokens": 200}
    early = await choice(client, model=model, **stop)
    late = await choice(client, model=model, **stop, min_tokens=40, logprobs=0)
    assert (early["finish_reason"], late["finish_reason"]) == ("stop", "stop")
    assert "." not in early["text"]
    assert "." not in late["text"]
    assert len(late["logprobs"]["tokens"]) >= 40


@pytest.mark.parametrize("model", LAYOUTS)
async def test_token_ids_outside_the_vocabulary_are_refused(client, model):
    response = await client.post(
        "/v1/completions", json={"model": model, "prompt": PROMPT, "logit_bias": {"1000000": 1}}
    )
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "logit_bias"
    assert "token id 1000000 of logit_bias is outside the vocabulary" in error["message"]


def test_the_official_client_reads_a_streams_probabilities(application: Application):
    with openai.OpenAI(base_url=f"{application.url}/v1", api_key="none", max_retries=0) as client:
        chunks = client.chat.completions.create(
            model=RESIDENT,
            messages=[{"role": "user", "content": "Tell me a tale about a fox."}],
            max_completion_tokens=30,
            temperature=0,
            logprobs=True,
            top_logprobs=2,
            stream=True,
        )
        text, tokens = "", []
        for chunk in chunks:
            text += chunk.choices[0].delta.content or ""
            logprobs = chunk.choices[0].logprobs
            tokens += (logprobs.content or []) if logprobs else []
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode() == text
    assert len(tokens) == 30
    assert all(token.top_logprobs[0].token == token.token for token in tokens)
    assert all(len(token.top_logprobs) == 2 for token in tokens)
