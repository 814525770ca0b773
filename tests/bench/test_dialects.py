"""How servers are asked, and what their events count."""

import json

import pytest

from bench.engines.contender import workload
from bench.engines.llama import Llama
from bench.engines.packages import TransformersServe
from bench.errors import ResponseError
from bench.random_model import vocabulary
from bench.streaming import ContinuousUsage
from bench.workload import Lengths

ASKED = workload(Lengths(prompt=6, new=4))


def event(**content: object) -> bytes:
    return json.dumps(content).encode()


def text(value: str, **more: object) -> bytes:
    return event(choices=[{"index": 0, "text": value}], **more)


def test_usage_holds_all_tokens_so_far():
    assert ContinuousUsage().tokens(event(usage={"completion_tokens": 7}), 3) == 7
    assert ContinuousUsage().tokens(b"[DONE]", 7) == 7


def test_a_text_prompt_stands_for_the_same_ids():
    body = json.loads(TransformersServe("m").body(ASKED, 5, 4))
    assert vocabulary.build().encode(body["prompt"]).ids == list(ASKED.prompt(5))
    assert body["model"] == "m"


def test_transformers_events_count_one_each_and_the_last_has_all():
    dialect = TransformersServe("m")
    assert dialect.tokens(text(" one"), 2) == 3
    assert dialect.tokens(text(""), 3) == 3
    assert dialect.tokens(text("", usage={"completion_tokens": 9}), 3) == 9


def test_transformers_end_is_in_the_last_event_alone():
    dialect = TransformersServe("m")
    assert dialect.end in b'{"choices":[{"finish_reason":"length","index":0,"text":""}]}'
    assert dialect.end not in b'{"choices":[{"index":0,"text":" one"}]}'


def test_llama_counts_in_its_timings():
    dialect = Llama()
    assert dialect.tokens(text(" one", timings={"predicted_n": 5}), 4) == 5
    assert dialect.tokens(event(choices=[], usage={"completion_tokens": 5}), 5) == 5
    assert dialect.tokens(b"[DONE]", 5) == 5


def test_llama_keeps_no_prompt_for_the_next_request():
    body = json.loads(Llama().body(ASKED, 0, 4))
    assert body["cache_prompt"] is False
    assert body["prompt"] == list(ASKED.prompt(0))


@pytest.mark.parametrize("dialect", [ContinuousUsage(), TransformersServe("m"), Llama()])
def test_a_failure_is_raised_in_the_server_s_words(dialect):
    with pytest.raises(ResponseError, match="out of memory"):
        dialect.tokens(event(error="out of memory"), 0)
