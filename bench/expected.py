"""What is expected of a comparison, and other ratios that it shows. Pure."""

from collections.abc import Sequence

from bench.comparison import REFERENCE_SESSIONS, Expectation, times
from bench.points import (
    Spot,
    Value,
    at_rest_ms,
    first_token_p50,
    inter_token_p99,
    orchestration_ms,
    whole_answers,
    without_rest_ms,
)
from bench.workload import IDLE, WORKLOADS

QUEUED = 256
"""Sessions, more than are decoded at a time."""
_OWN, _INT8, _RAW = "tensorloom-bf16", "tensorloom-int8", "raw-bf16"
_SERVERS = ("vllm", "transformers-serve", "llama-bf16")
"""Other servers with weights of the same width."""


def _at(engine: str, sessions: int) -> Spot:
    return Spot(engine, "W1", sessions)


def _times(
    says: str,
    bases: Sequence[str],
    sessions: int,
    own: str = _OWN,
    base_sessions: int = 0,
    at_least: float | None = None,
) -> Expectation:
    others = [_at(base, base_sessions or sessions) for base in bases]
    return times(f"tokens/s at {says}", _at(own, sessions), others, at_least=at_least)


def _of_whole_answers(says: str, own: str, raw: str, at_least: float | None = None) -> Expectation:
    return times(
        f"tokens/s at {says}",
        _at(own, 16),
        [_at(raw, 16)],
        base_value=whole_answers(WORKLOADS["W1"].new),
        at_least=at_least,
    )


def _latency(says: str, value: Value, sessions: int, at_most: float) -> Expectation:
    own, other = _at(_OWN, sessions), _at("vllm", sessions)
    return times(f"{says} at {sessions} / vLLM's", own, [other], value, at_most=at_most)


def _cpu(says: str, value: Value, **bounds: float) -> Expectation:
    spot = _at(_OWN, REFERENCE_SESSIONS)
    text = f"CPU ms per token at {REFERENCE_SESSIONS}, {says}"
    return Expectation(text, lambda points: points.median(spot, value), (spot,), **bounds)


def _first_token() -> Expectation:
    own, raw = Spot(_OWN, IDLE, 1), Spot(_RAW, IDLE, 1)
    return Expectation(
        "first token idle, 8-token prompt, ms beyond the prefill",
        lambda points: points.beyond(own, raw, first_token_p50),
        (own, raw),
        at_most=8,
    )


EXPECTED = (
    _of_whole_answers("16 / raw prefill and steps", _OWN, _RAW, at_least=0.85),
    *(_times(f"{sessions} / vLLM", ["vllm"], sessions, at_least=1.3) for sessions in (1, 16, 32)),
    _times("16 / OpenVINO in process", ["openvino"], 16, at_least=0.9),
    _times("16 / OpenVINO in process, int8", ["openvino"], 16, own=_INT8, at_least=1.0),
    _times("1, int8 / bf16", [_OWN], 1, own=_INT8, at_least=1.5),
    _times("1, int8 / llama.cpp server q8_0", ["llama-q8_0"], 1, own=_INT8, at_least=1.0),
    _latency("first token p50", first_token_p50, 32, at_most=1.2),
    _latency("inter-token p99", inter_token_p99, 16, at_most=0.6),
    _times(f"{QUEUED}, queued / 32", [_OWN], QUEUED, base_sessions=32, at_least=0.95),
    _cpu("all but the model server", orchestration_ms, at_most=0.4),
    _cpu("the same without rest", without_rest_ms, at_most=0.4),
    _cpu("Ray and all processes at rest", at_rest_ms),
    _first_token(),
    _times("8, Llama of 0.5 G / vLLM", ["vllm-llama"], 8, own="tensorloom-llama", at_least=1.0),
)
"""Shown in every comparison."""

COMPARED = (
    _times("16 / raw step", [_RAW], 16),
    _of_whole_answers("16, int8 / its raw prefill and steps", _INT8, "raw-int8"),
    *(_times(f"{n} / vLLM, its own binding", ["vllm-default"], n) for n in (1, 16, 32)),
    _times("1, Llama of 0.5 G / vLLM", ["vllm-llama"], 1, own="tensorloom-llama"),
    _times("1 / llama.cpp server q8_0", ["llama-q8_0"], 1),
    _times("16 / llama.cpp server q8_0", ["llama-q8_0"], 16),
    _times("1 / OpenVINO in process", ["openvino"], 1),
    _times("16 / best other server", _SERVERS, 16),
    _times("32 / best other server", _SERVERS, 32),
    _times("1, repetitive text / best other server", _SERVERS, 1, own="tensorloom-repetitive"),
    _times("16 / naive loop, state to and fro", ["naive"], 16, base_sessions=1),
    _times("16 / naive loop, whole prefix anew", ["naive-prefix"], 16, base_sessions=1),
)
"""Shown where they were measured."""
