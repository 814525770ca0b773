"""The answers of the ingress, without Serve."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from deployments.errors import ModelServerUnavailable
from deployments.ingress import service
from deployments.ingress.routes import MAX_BODY_BYTES
from deployments.messages import DecoderStatus, EncodedPrompt, FinishReason, GenerateRequest, TextChunk
from tests.deployments.fakes import EOS
from tests.deployments.in_process import InProcess, client

COMPLETION = {"model": "echo", "prompt": "aé", "stream": True}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
CONVERSATION = {"model": "echo", "messages": [{"role": "user", "content": "aé"}], "stream": True}


async def ask(method: str, path: str, backends: InProcess | None = None, **request: Any) -> httpx.Response:
    async with client(backends or InProcess()) as http:
        return await http.request(method, path, **request)


async def chunks(path: str, body: Any) -> list[dict[str, Any]]:
    answer = await ask("POST", path, json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    *events, done, end = answer.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


async def test_a_chat_stream_begins_with_the_role_and_ends_with_the_reason() -> None:
    got = await chunks("/v1/chat/completions", CONVERSATION)
    assert [chunk["choices"] for chunk in got] == [
        [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        for delta, reason in [
            ({"role": "assistant", "content": "", "refusal": None}, None),
            ({"content": "a"}, None),
            ({"content": "é"}, None),
            ({}, "stop"),
        ]
    ]
    assert {chunk["object"] for chunk in got} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in got}) == 1
    assert not any("usage" in chunk for chunk in got)


async def test_usage_comes_last_without_choices_and_is_null_before() -> None:
    for path, body in (("/v1/completions", COMPLETION), ("/v1/chat/completions", CONVERSATION)):
        *before, last = await chunks(path, {**body, "stream_options": {"include_usage": True}})
        assert [chunk["usage"] for chunk in before] == [None] * len(before)
        assert last["choices"] == []
        assert last["usage"] == usage(3, 4)


async def test_usage_with_every_chunk_grows_with_the_text() -> None:
    wishes = {"include_usage": True, "continuous_usage_stats": True}
    got = await chunks("/v1/completions", {**COMPLETION, "stream_options": wishes})
    assert [chunk["usage"] for chunk in got] == [usage(3, n) for n in (1, 3, 4, 4)]


async def test_a_whole_chat_is_one_message() -> None:
    answer = await ask("POST", "/v1/chat/completions", json={**CONVERSATION, "stream": False})
    body = answer.json()
    assert body.pop("id").startswith("chatcmpl-")
    assert isinstance(body.pop("created"), int)
    message = {"role": "assistant", "content": "aé", "refusal": None}
    assert body == {
        "object": "chat.completion",
        "model": "echo",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage(3, 4),
    }


def chat_token(text: str, logprob: float, raw: list[int]) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": raw}


B_TOKENS = {
    **chat_token("b", -0.5, [98]),
    "top_logprobs": [chat_token("b", -0.5, [98]), chat_token("c", -1.5, [99])],
}


async def test_a_completion_lists_its_tokens_with_their_probabilities_and_places() -> None:
    body = {"model": "echo", "prompt": "aé", "logprobs": 2}
    choice = (await ask("POST", "/v1/completions", json=body)).json()["choices"][0]
    first, second = "bytes:\\xc3", "bytes:\\xa9"
    assert choice["text"] == "aé"
    assert choice["logprobs"] == {
        "tokens": ["a", first, second],
        "token_logprobs": [-0.5] * 3,
        "top_logprobs": [
            {"a": -0.5, "b": -1.5},
            {first: -0.5, "bytes:\\xc4": -1.5},
            {second: -0.5, "bytes:\\xaa": -1.5},
        ],
        "text_offset": [0, 1, 1],
    }


async def test_a_completion_tells_the_tokens_own_probability_whatever_else_it_tells() -> None:
    body = {"model": "echo", "prompt": "ab", "logprobs": 0}
    choice = (await ask("POST", "/v1/completions", json=body)).json()["choices"][0]
    assert choice["logprobs"]["top_logprobs"] == [{"a": -0.5}, {"b": -0.5}]


async def test_a_chat_has_an_object_for_each_token() -> None:
    body = {**CONVERSATION, "stream": False, "logprobs": True, "top_logprobs": 2}
    body["messages"] = [{"role": "user", "content": "bé"}]
    choice = (await ask("POST", "/v1/chat/completions", json=body)).json()["choices"][0]
    *_, last = choice["logprobs"]["content"]
    assert choice["logprobs"]["refusal"] is None
    assert choice["logprobs"]["content"][0] == B_TOKENS
    assert (last["token"], last["bytes"]) == ("bytes:\\xa9", [0xA9])


async def test_chunks_of_a_stream_bring_the_probabilities_of_their_own_tokens() -> None:
    """Two bytes make one character: its text comes with the log-probabilities of both tokens."""
    got = await chunks("/v1/completions", {**COMPLETION, "logprobs": 1, "prompt": "aéb"})
    told = [chunk["choices"][0]["logprobs"] for chunk in got]
    assert [each and each["text_offset"] for each in told] == [[0], [1, 1], [2], None]
    assert [each and each["token_logprobs"] for each in told] == [[-0.5], [-0.5, -0.5], [-0.5], None]


async def test_chunks_of_a_chat_bring_the_probabilities_of_their_own_tokens() -> None:
    body = {**CONVERSATION, "logprobs": True, "top_logprobs": 2, "max_tokens": 2}
    body["messages"] = [{"role": "user", "content": "abc"}]
    got = [chunk["choices"][0] for chunk in await chunks("/v1/chat/completions", body)]
    told = [
        choice["logprobs"] and [each["token"] for each in choice["logprobs"]["content"]] for choice in got
    ]
    assert told == [None, ["a"], ["b"], None]
    assert got[2]["logprobs"] == {"content": [B_TOKENS], "refusal": None}
    assert got[3]["finish_reason"] == "length"


async def test_an_answer_of_no_tokens_has_no_probabilities_but_the_place_for_them() -> None:
    body = {"model": "echo", "prompt": [EOS], "max_tokens": 1, "logprobs": 1}
    choice = (await ask("POST", "/v1/completions", json=body)).json()["choices"][0]
    assert choice["logprobs"] == {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}


async def test_an_answer_as_long_as_allowed_ends_with_length() -> None:
    body = {"model": "echo", "prompt": "abc", "max_tokens": 2}
    answer = (await ask("POST", "/v1/completions", json=body)).json()
    assert answer["choices"][0]["text"] == "ab"
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_a_stop_string_over_several_tokens_is_not_shown_and_its_tokens_are_counted() -> None:
    body = {"model": "echo", "prompt": "abcdef", "stop": "cd"}
    answer = (await ask("POST", "/v1/completions", json=body)).json()
    assert answer["choices"][0]["text"] == "ab"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == usage(6, 4)


async def test_a_failure_in_mid_stream_is_its_last_event() -> None:
    answer = await ask("POST", "/v1/completions", json={**COMPLETION, "prompt": "!break"})
    assert answer.status_code == 200
    *_, text, failure, end = answer.text.split("\n\n")
    assert json.loads(text.removeprefix("data: "))["choices"][0]["text"] == "b"
    error = json.loads(failure.removeprefix("data: "))["error"]
    assert (error["type"], error["code"]) == ("service_unavailable_error", "model_server_unavailable")
    assert end == ""


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("prompt", "status", "code", "retry_after"),
    [
        ("!overloaded", 429, "queue_full", "1"),
        ("!unavailable", 503, "model_server_unavailable", "5"),
    ],
)
async def test_a_failure_before_the_first_token_has_its_status(
    stream: bool, prompt: str, status: int, code: str, retry_after: str
) -> None:
    answer = await ask("POST", "/v1/completions", json={**COMPLETION, "prompt": prompt, "stream": stream})
    assert answer.status_code == status
    assert answer.headers["retry-after"] == retry_after
    assert answer.json()["error"]["code"] == code


async def test_our_own_failure_does_not_tell_its_cause() -> None:
    class Broken(InProcess):
        async def encode(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("secret")

    answer = await ask("POST", "/v1/completions", Broken(), json=COMPLETION)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/v1/nothing", 404, "unknown_url"), ("GET", "/v1/completions", 405, "method_not_allowed")],
)
async def test_unknown_routes_and_methods_have_openais_shape(
    method: str, path: str, status: int, code: str
) -> None:
    answer = await ask(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, code)
    assert path in error["message"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"nonsense", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"seed": 1' + b"0" * 5000]
)
async def test_a_body_that_is_no_json_object_is_refused(content: bytes) -> None:
    answer = await ask("POST", "/v1/completions", content=content, headers=JSON)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", None)
    assert "JSON" in error["message"]


async def test_a_body_without_content_type_is_json_and_a_form_is_refused() -> None:
    content = json.dumps({"model": "echo", "prompt": "a"}).encode()
    assert (await ask("POST", "/v1/completions", content=content)).status_code == 200
    answer = await ask("POST", "/v1/completions", content=content, headers=FORM)
    assert answer.status_code == 400
    assert "application/json" in answer.json()["error"]["message"]


async def test_a_body_beyond_all_bounds_is_refused() -> None:
    body = {"model": "echo", "prompt": "a" * MAX_BODY_BYTES}
    answer = await ask("POST", "/v1/completions", json=body)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"


async def test_an_unpaired_surrogate_in_a_name_is_answered() -> None:
    answer = await ask("POST", "/v1/completions", content=rb'{"model": "\ud800", "prompt": "a"}')
    assert answer.status_code == 404
    answer = await ask("POST", "/v1/completions", content=rb'{"\ud800": 1, "model": "echo", "prompt": "a"}')
    assert answer.status_code == 400


async def test_models_are_listed_with_their_context() -> None:
    listed = (await ask("GET", "/v1/models")).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["echo", "mute"]
    model = (await ask("GET", "/v1/models/echo")).json()
    assert (model["object"], model["owned_by"], model["max_model_len"]) == ("model", "tensorloom", 64)
    for unknown in ("gone", "some/one"):
        missing = await ask("GET", f"/v1/models/{unknown}")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_the_application_is_healthy_while_every_model_has_a_server() -> None:
    backends = InProcess()
    held = {"waiting": 0, "running": 0, "states": 0, "state_bytes": 0}
    status = {"version": 1, "servers": 1, **held, "drafted": 0, "accepted": 0}
    answer = await ask("GET", "/health", backends)
    assert answer.json() == {"status": "ok", "models": {"echo": status, "mute": status}}
    backends.servers = 0
    answer = await ask("GET", "/health", backends)
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


async def test_a_model_that_is_not_ready_is_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formerly, a request for a model whose decoder could not start waited forever."""
    monkeypatch.setattr(service, "BACKEND_TIMEOUT_S", 0.01)
    backends = InProcess()

    async def never(*_: object) -> EncodedPrompt:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(backends, "encode", never)
    answer = await ask("POST", "/v1/completions", backends, json={"model": "echo", "prompt": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_server_unavailable")


async def test_a_decoder_that_falls_silent_before_the_first_chunk_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "BACKEND_TIMEOUT_S", 0.01)
    backends = InProcess()

    async def no_status(_: str) -> DecoderStatus:
        raise ModelServerUnavailable("gone")

    monkeypatch.setattr(backends, "status", no_status)
    answer = await ask("POST", "/v1/completions", backends, json={"model": "echo", "prompt": "!hang"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_server_unavailable")


async def test_a_request_that_waits_long_for_its_turn_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BACKEND_TIMEOUT_S", 0.01)
    backends = InProcess()
    looked = asyncio.Event()

    async def status(_: str) -> DecoderStatus:
        looked.set()
        return DecoderStatus(1, 1, waiting=1, running=0, states=0, state_bytes=0)

    async def slow(_: GenerateRequest) -> AsyncGenerator[TextChunk, None]:
        async def chunks() -> AsyncGenerator[TextChunk, None]:
            await looked.wait()
            yield TextChunk("late", 1, FinishReason.STOP)

        return chunks()

    monkeypatch.setattr(backends, "status", status)
    monkeypatch.setattr(backends, "generate", slow)
    answer = await ask("POST", "/v1/completions", backends, json={"model": "echo", "prompt": "a"})
    assert answer.json()["choices"][0]["text"] == "late"
