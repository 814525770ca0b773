"""Failures of the decoder, two hops away, become HTTP answers."""

import json

import httpx
import pytest

from tests.deployments.application import Application

pytestmark = pytest.mark.processes


def ask(application: Application, path: str = "/v1/completions", **body: object) -> httpx.Response:
    return httpx.post(f"{application.url}{path}", json={"model": "echo", **body}, timeout=60)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("prompt", "status", "code", "retry_after"),
    [
        ("!overloaded", 429, "queue_full", "1"),
        ("!overflow", 400, "context_length_exceeded", None),
        ("!unavailable", 503, "model_server_unavailable", "5"),
        ("!bug", 500, "internal_error", None),
    ],
)
def test_the_decoders_failure_is_answered_as_it_was_raised(
    application: Application, prompt: str, status: int, code: str, retry_after: str | None, stream: bool
) -> None:
    answer = ask(application, prompt=prompt, stream=stream)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.headers.get("retry-after") == retry_after
    assert "Traceback" not in answer.text
    assert "ray::" not in answer.text


def test_the_message_and_the_field_survive_both_hops(application: Application) -> None:
    error = ask(application, prompt="!overflow").json()["error"]
    assert (error["message"], error["param"]) == ("It does not fit.", "max_tokens")


def test_the_tokenizers_refusal_is_answered_as_it_was_raised(application: Application) -> None:
    answer = ask(application, prompt=[97, 999])
    assert answer.status_code == 400
    assert "999" in answer.json()["error"]["message"]


def test_a_failure_in_mid_stream_is_the_last_event(application: Application) -> None:
    answer = ask(application, prompt="!break", stream=True)
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert json.loads(events[-1])["error"]["code"] == "model_server_unavailable"
    assert [json.loads(event)["choices"][0]["text"] for event in events[:-1]] == ["!", "b"]
    application.wait_until_running(0)


def test_unknown_routes_have_openais_shape(application: Application) -> None:
    answer = httpx.get(f"{application.url}/v2/nothing")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


def test_every_answer_has_one_request_id_and_it_is_the_clients_where_given(application: Application) -> None:
    for path in ("/health", "/nowhere"):
        answer = httpx.get(f"{application.url}{path}", headers={"x-request-id": "mine-1"})
        assert answer.headers.get_list("x-request-id") == ["mine-1"]
        made = [httpx.get(f"{application.url}{path}").headers.get_list("x-request-id") for _ in range(2)]
        assert len({identity for (identity,) in made}) == 2


def test_a_tokenizer_larger_than_a_message_between_replicas_is_served(application: Application) -> None:
    """Messages between replicas have at most 4 MiB; the tokenizers of large vocabularies have more."""
    answer = httpx.post(f"{application.url}/v1/completions", json={"model": "wide", "prompt": "ab"})
    assert answer.json()["choices"][0]["text"] == "ab"


def test_a_version_that_was_replaced_is_encoded_anew(application: Application) -> None:
    assert ask(application, prompt="ab").status_code == 200
    application.decoders["echo"].replace.remote().result(timeout_s=30)
    answer = ask(application, prompt="ab")
    assert (answer.status_code, answer.json()["choices"][0]["text"]) == (200, "ab")


def test_a_decoder_that_dies_fails_its_requests_and_serves_again_once_it_is_replaced(
    application: Application,
) -> None:
    answer = ask(application, model="mortal", prompt="!die")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_server_unavailable")
    answer = ask(application, model="mortal", prompt="ab")
    assert (answer.status_code, answer.json()["choices"][0]["text"]) == (200, "ab")
