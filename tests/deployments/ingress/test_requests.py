"""Request bodies: what is accepted, and the requests that they become."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from deployments.messages import GenerateRequest
from tests.deployments.fakes import BOS, CONTEXT_LENGTH, EOS
from tests.deployments.in_process import InProcess, client

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
COMPLETION = {"model": "echo", "prompt": "ab"}
CONVERSATION = {"model": "echo", "messages": [{"role": "user", "content": "ab"}]}


async def post(path: str, body: Any) -> tuple[httpx.Response, list[GenerateRequest]]:
    backends = InProcess()
    async with client(backends) as http:
        # Escaped, so that it can hold what UTF-8 cannot.
        content = json.dumps(body, ensure_ascii=True).encode()
        return await http.post(path, content=content), backends.asked


async def resolved(path: str, body: Any) -> GenerateRequest:
    answer, asked = await post(path, body)
    assert answer.status_code == 200, answer.text
    return asked[0]


async def refused(path: str, body: Any, status: int = 400) -> dict[str, Any]:
    answer, asked = await post(path, body)
    assert answer.status_code == status, answer.text
    assert not asked
    assert answer.json().keys() == {"error"}
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize(
    ("prompt", "ids"),
    [
        ("ab", (97, 98)),
        (["ab"], (97, 98)),
        ([97, 98], (97, 98)),
        ([[97, 98]], (97, 98)),
        ("", (BOS,)),
        ([], (BOS,)),
        ([""], (BOS,)),
    ],
)
async def test_a_prompt_may_be_text_or_ids_and_an_empty_one_is_the_beginning_token(
    prompt: Any, ids: tuple[int, ...]
) -> None:
    assert (await resolved(COMPLETIONS, {**COMPLETION, "prompt": prompt})).prompt_ids == ids


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (["a", "b"], "One prompt per request is supported, and this one has 2"),
        ([[1], [2], [3]], "this one has 3"),
        ([1, 258], "Token id 258 is outside the vocabulary; ids 0 to 257 are allowed"),
        ([-1], "Token id -1"),
        ([True], "a string or a list of token ids"),
        ({"text": "a"}, "a string or a list of token ids"),
        (["a", 1], "a string or a list of token ids"),
        ("\ud800", "unpaired surrogates"),
        (["\udfff"], "unpaired surrogates"),
    ],
)
async def test_other_prompts_are_refused_with_what_is_wrong(prompt: Any, said: str) -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, "prompt": prompt})
    assert error["param"] == "prompt"
    assert said in error["message"]


async def test_what_a_completion_leaves_out_comes_from_the_model_or_the_api() -> None:
    request = await resolved(COMPLETIONS, COMPLETION)
    assert request.max_tokens == 16
    assert request.sampling.temperature == 0.5
    assert (request.sampling.top_k, request.sampling.top_p, request.sampling.min_p) == (0, 1.0, 0.0)
    assert (request.stop, request.ignore_eos) == ((), False)


async def test_a_chat_may_be_as_long_as_the_model_says_and_as_there_is_room() -> None:
    assert (await resolved(CHAT, CONVERSATION)).max_tokens == 8
    long = [{"role": "user", "content": "a" * (CONTEXT_LENGTH - 3)}]
    assert (await resolved(CHAT, {**CONVERSATION, "messages": long})).max_tokens == 3


async def test_null_is_the_same_as_nothing() -> None:
    names = ["max_tokens", "temperature", "top_p", "top_k", "min_p", "stop", "stream", "stream_options", "n"]
    unsaid = {**COMPLETION, **dict.fromkeys([*names, "logprobs", "ignore_eos", "seed", "user"])}
    assert (await resolved(COMPLETIONS, unsaid)).max_tokens == 16


async def test_what_a_client_says_reaches_the_decoder() -> None:
    said = {"max_tokens": 3, "temperature": 0, "top_p": 0.5, "top_k": 7, "min_p": 0.1, "seed": 2**64 - 1}
    request = await resolved(COMPLETIONS, {**COMPLETION, **said, "stop": ["x", "y"], "ignore_eos": True})
    sampling = request.sampling
    assert (request.max_tokens, request.stop, request.ignore_eos) == (3, ("x", "y"), True)
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (0, 0.5, 7, 0.1)
    assert sampling.seed == 2**64 - 1


SAID_OF_SAMPLING = {
    "presence_penalty": 0.5,
    "frequency_penalty": -2,
    "repetition_penalty": 1.25,
    "logit_bias": {"97": -100, "3": 0.5},
    "min_tokens": 2,
    "stop_token_ids": [5, 6, 5],
    "allowed_token_ids": [97, 98, 5, 97],
}


@pytest.mark.parametrize(("path", "body"), [(COMPLETIONS, COMPLETION), (CHAT, CONVERSATION)])
async def test_what_a_client_says_of_sampling_reaches_the_decoder(path: str, body: dict[str, Any]) -> None:
    sampling = (await resolved(path, {**body, **SAID_OF_SAMPLING})).sampling
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.5, -2)
    assert sampling.repetition_penalty == 1.25
    assert sampling.logit_bias == ((97, -100.0), (3, 0.5))
    assert (sampling.min_tokens, sampling.stop_token_ids) == (2, (5, 6))
    assert sampling.allowed_token_ids == (97, 98, 5)
    assert sampling.logprobs is None


async def test_what_a_client_does_not_say_of_sampling_changes_nothing() -> None:
    sampling = (await resolved(COMPLETIONS, COMPLETION)).sampling
    assert (sampling.edits, sampling.allowed_token_ids, sampling.logprobs) == (False, None, None)


async def test_a_models_own_repetition_penalty_counts_where_the_client_says_nothing() -> None:
    backends = InProcess()
    manifest = backends.servables["echo"].manifest
    generation = replace(manifest.generation, repetition_penalty=1.5)
    backends.servables["echo"] = replace(
        backends.servables["echo"], manifest=replace(manifest, generation=generation)
    )
    async with client(backends) as http:
        await http.post(COMPLETIONS, json=COMPLETION)
        await http.post(COMPLETIONS, json={**COMPLETION, "repetition_penalty": 1})
    assert [request.sampling.repetition_penalty for request in backends.asked] == [1.5, 1]


@pytest.mark.parametrize(
    ("path", "said", "wanted"),
    [
        (COMPLETIONS, {"logprobs": 0}, 0),
        (COMPLETIONS, {"logprobs": 20}, 20),
        (CHAT, {"logprobs": True}, 0),
        (CHAT, {"logprobs": True, "top_logprobs": 20}, 20),
        (CHAT, {"logprobs": False, "top_logprobs": 0}, None),
        (CHAT, {"top_logprobs": 0}, None),
    ],
)
async def test_each_api_has_its_own_way_to_ask_for_probabilities(
    path: str, said: dict[str, Any], wanted: int | None
) -> None:
    body = COMPLETION if path == COMPLETIONS else CONVERSATION
    assert (await resolved(path, {**body, **said})).sampling.logprobs == wanted


async def test_top_logprobs_need_logprobs() -> None:
    for said in ({"top_logprobs": 1}, {"top_logprobs": 1, "logprobs": False}):
        error = await refused(CHAT, {**CONVERSATION, **said})
        assert error["param"] == "top_logprobs"
        assert "only allowed when 'logprobs' is true" in error["message"]


@pytest.mark.parametrize(
    ("bias", "said"),
    [
        ({"x": 1}, "The key 'x' should be a token id"),
        ({"-1": 1}, "The key '-1' should be a token id"),
        ({"1.5": 1}, "The key '1.5' should be a token id"),
        ({"٣": 1}, "The key '٣' should be a token id"),
        ({"9" * 5000: 1}, "should be a token id"),
        ({"5": 100.5}, "The bias of '5' should be a number from -100 to 100"),
        ({"5": "1"}, "The bias of '5' should be a number"),
        ({"5": True}, "The bias of '5' should be a number"),
        ({"5": float("nan")}, "The bias of '5' should be a number"),
        ({"5": 1, "05": 2}, "more than once"),
        ({str(i): 1 for i in range(1025)}, "at most 1024 keys, and this one has 1025"),
        ([5], "an object with token ids as its keys"),
        ({"258": 1}, "token id 258 of logit_bias is outside the vocabulary; ids are 0 to 257"),
    ],
)
async def test_a_bias_that_cannot_be_is_refused_with_what_is_wrong(bias: Any, said: str) -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, "logit_bias": bias})
    assert error["param"] == "logit_bias"
    assert said in error["message"]


@pytest.mark.parametrize("name", ["stop_token_ids", "allowed_token_ids"])
async def test_token_ids_must_be_in_the_vocabulary(name: str) -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, name: [3, 258]})
    assert error["param"] == name
    assert f"token id 258 of {name} is outside the vocabulary; ids are 0 to 257" in error["message"]
    assert (await refused(COMPLETIONS, {**COMPLETION, name: [3, -1]}))["param"] == f"{name}[1]"


async def test_an_answer_cannot_be_longer_than_it_may_be() -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, "max_tokens": 3, "min_tokens": 4})
    assert error["param"] == "min_tokens"
    assert "min_tokens is 4, but the answer may have at most 3 tokens" in error["message"]


async def test_a_least_length_needs_a_token_that_does_not_end_the_answer() -> None:
    only_ends = {"min_tokens": 1, "stop_token_ids": [5], "allowed_token_ids": [5, EOS]}
    error = await refused(COMPLETIONS, {**COMPLETION, **only_ends})
    assert error["param"] == "allowed_token_ids"
    await resolved(COMPLETIONS, {**COMPLETION, **only_ends, "ignore_eos": True})
    await resolved(COMPLETIONS, {**COMPLETION, **only_ends, "min_tokens": 0})


async def test_max_completion_tokens_counts_more_than_its_older_name() -> None:
    both = {**CONVERSATION, "max_tokens": 2, "max_completion_tokens": 5}
    assert (await resolved(CHAT, both)).max_tokens == 5


async def test_a_top_k_of_minus_one_is_no_limit() -> None:
    assert (await resolved(COMPLETIONS, {**COMPLETION, "top_k": -1})).sampling.top_k == 0


async def test_without_a_seed_each_request_has_its_own() -> None:
    first, second = [await resolved(COMPLETIONS, COMPLETION) for _ in range(2)]
    assert first.sampling.seed != second.sampling.seed
    assert first.request_id != second.request_id


async def test_a_negative_seed_is_taken_as_its_64_bits() -> None:
    assert (await resolved(COMPLETIONS, {**COMPLETION, "seed": -1})).sampling.seed == 2**64 - 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("temperature", 2.5, "less than or equal to 2"),
        ("temperature", -1, "greater than or equal to 0"),
        ("temperature", "warm", "valid number"),
        ("temperature", True, "valid number"),
        ("top_p", 0, "greater than 0"),
        ("top_p", 1.1, "less than or equal to 1"),
        ("top_k", -2, "greater than or equal to -1"),
        ("min_p", 2, "less than or equal to 1"),
        ("max_tokens", 0, "greater than or equal to 1"),
        ("max_tokens", "3", "valid integer"),
        ("seed", 2**64, "less than 18446744073709551616"),
        ("stop", ["a"] * 17, "at most 16 items"),
        ("presence_penalty", 2.1, "less than or equal to 2"),
        ("frequency_penalty", -2.1, "greater than or equal to -2"),
        ("frequency_penalty", "none", "valid number"),
        ("repetition_penalty", 0, "greater than 0"),
        ("repetition_penalty", 2.5, "less than or equal to 2"),
        ("min_tokens", -1, "greater than or equal to 0"),
        ("stop_token_ids", 5, "valid list"),
        ("stop_token_ids", [5] * 65, "at most 64 items"),
        ("allowed_token_ids", [], "at least 1 item"),
        ("logprobs", 21, "less than or equal to 20"),
        ("logprobs", -1, "greater than or equal to 0"),
        ("logprobs", True, "valid integer"),
        ("stop", {}, "valid list"),
        ("stream", "yes", "valid boolean"),
        ("model", 3, "valid string"),
    ],
)
async def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: Any, said: str) -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, name: value})
    assert error["param"] == name
    assert error["type"] == "invalid_request_error"
    assert repr(name) in error["message"]
    assert said in error["message"]


async def test_an_empty_stop_string_is_refused() -> None:
    assert (await refused(COMPLETIONS, {**COMPLETION, "stop": ["a", ""]}))["param"] == "stop[1]"


@pytest.mark.parametrize(
    ("path", "body", "name", "value"),
    [
        (COMPLETIONS, COMPLETION, "echo", True),
        (COMPLETIONS, COMPLETION, "best_of", 2),
        (COMPLETIONS, COMPLETION, "suffix", "x"),
        (COMPLETIONS, COMPLETION, "n", 2),
        (COMPLETIONS, COMPLETION, "bad_words", ["x"]),
        (COMPLETIONS, COMPLETION, "prompt_logprobs", 1),
        (CHAT, CONVERSATION, "tools", [{"type": "function"}]),
        (CHAT, CONVERSATION, "tool_choice", "required"),
        (CHAT, CONVERSATION, "response_format", {"type": "json_object"}),
        (CHAT, CONVERSATION, "modalities", ["text", "audio"]),
    ],
)
async def test_a_field_that_is_not_supported_is_refused_by_name(
    path: str, body: dict[str, Any], name: str, value: Any
) -> None:
    error = await refused(path, {**body, name: value})
    assert error["param"] == name
    assert f"'{name}' is not supported" in error["message"]


async def test_fields_that_are_not_supported_are_accepted_where_they_change_nothing() -> None:
    neutral = {"n": 1, "best_of": 1, "echo": False, "logit_bias": {}, "presence_penalty": 0.0, "user": "me"}
    await resolved(COMPLETIONS, {**COMPLETION, **neutral, "repetition_penalty": 1.0, "suffix": ""})
    chat = {"logprobs": False, "top_logprobs": 0, "response_format": {"type": "text"}, "tools": []}
    ignored = {"store": True, "metadata": {"a": "b"}}
    await resolved(CHAT, {**CONVERSATION, **chat, **ignored, "tool_choice": "auto"})


async def test_an_unknown_field_is_refused_in_openais_words() -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, "temprature": 1})
    assert error["message"] == "Unrecognized request argument supplied: temprature"
    assert error["param"] == "temprature"


async def test_a_missing_field_is_named() -> None:
    assert (await refused(COMPLETIONS, {"model": "echo"}))[
        "message"
    ] == "Missing required parameter: 'prompt'."
    assert (await refused(CHAT, {"messages": CONVERSATION["messages"]}))["param"] == "model"


async def test_an_unknown_model_is_not_found() -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, "model": "gone"}, status=404)
    assert error["code"] == "model_not_found"
    assert "served here: echo, mute" in error["message"]


async def test_stream_options_need_a_stream() -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, "stream_options": {"include_usage": True}})
    assert error["param"] == "stream_options"


async def test_prompt_and_answer_must_fit_the_context_and_the_message_has_the_numbers() -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, "max_tokens": CONTEXT_LENGTH - 1})
    assert (error["code"], error["param"]) == ("context_length_exceeded", "max_tokens")
    for number in (CONTEXT_LENGTH, 2, CONTEXT_LENGTH - 1, CONTEXT_LENGTH + 1):
        assert f" {number} " in error["message"].replace(".", " ")
    assert (await resolved(COMPLETIONS, {**COMPLETION, "max_tokens": CONTEXT_LENGTH - 2})).max_tokens == 62


async def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused() -> None:
    error = await refused(COMPLETIONS, {**COMPLETION, "prompt": "a" * CONTEXT_LENGTH})
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")


async def test_a_chat_needs_a_model_with_a_template() -> None:
    error = await refused(CHAT, {**CONVERSATION, "model": "mute"})
    assert "has no chat template" in error["message"]


async def test_what_the_template_refuses_is_the_requests_error_with_the_templates_reason() -> None:
    messages = [{"role": "user", "content": "hi", "name": "nobody"}]
    error = await refused(CHAT, {**CONVERSATION, "messages": messages})
    assert error["param"] == "messages"
    assert "chat template refuses: who is it?" in error["message"]


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
async def test_content_may_be_a_list_of_text_parts(role: str) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    said = {**CONVERSATION, "messages": [{"role": role, "content": parts, "name": "n"}]}
    assert (await resolved(CHAT, said)).prompt_ids == tuple(b"a\nb")


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ("ab", "messages"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": 3}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content"),
        ([{"role": "user", "content": "\ud800"}], "messages[0].content"),
        ([{"role": "robot", "content": "a"}], "messages[0].role"),
        ([{"role": "user", "content": "a", "mood": 1}], "messages[0].mood"),
        ([{"role": "assistant", "content": "a", "tool_calls": [{}]}], "tool_calls"),
    ],
)
async def test_other_messages_are_refused_by_place(messages: Any, param: str) -> None:
    assert (await refused(CHAT, {**CONVERSATION, "messages": messages}))["param"] == param


async def test_a_message_may_come_back_as_it_was_answered() -> None:
    """Clients send an assistant's message with all the keys that the answer had."""
    answer, _ = await post(CHAT, CONVERSATION)
    message = answer.json()["choices"][0]["message"]
    client_side = {"annotations": None, "audio": None, "function_call": None, "tool_calls": None}
    messages = [*CONVERSATION["messages"], {**message, **client_side}]
    assert (await resolved(CHAT, {**CONVERSATION, "messages": messages})).prompt_ids == tuple(b"abab")
