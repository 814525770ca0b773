"""What is expected of this application beside others, and what was measured. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.compare.plan import REFERENCE_SESSIONS
from bench.compare.points import Points, Spot, Value, orchestration_ms, throughput, whole_answers
from bench.workload import WORKLOADS

OWN = "tensorloom-bf16"
SERVERS = ("vllm", "transformers-serve", "llama-bf16")
"""Other servers with weights of the same width."""
_W1 = "W1"


@dataclass(frozen=True)
class Expectation:
    says: str
    value: Callable[[Points], float | None]
    at_least: float | None = None
    at_most: float | None = None
    """Neither: shown for comparison alone."""

    @property
    def bound(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    def kept(self, value: float | None) -> bool | None:
        """None where there is nothing to be kept."""
        if value is None or not self.bound:
            return None
        return value >= (self.at_least or value) and value <= (self.at_most or value)


def _times(
    says: str,
    bases: Sequence[str],
    sessions: int,
    at_least: float | None = None,
    own: str = OWN,
    base_sessions: int | None = None,
    base_value: Value = throughput,
) -> Expectation:
    spot = Spot(own, _W1, sessions)
    others = [Spot(base, _W1, base_sessions or sessions) for base in bases]
    return Expectation(says, lambda points: points.times(spot, others, base_value), at_least)


def _orchestration(sessions: int, at_most: float) -> Expectation:
    spot = Spot(OWN, _W1, sessions)
    return Expectation(
        f"orchestration CPU ms per token at {sessions} sessions",
        lambda points: points.median(spot, orchestration_ms),
        at_most=at_most,
    )


EXPECTED = (
    _times("tokens/s at 16 / raw step", ["raw-bf16"], 16, 0.90),
    _times(
        "tokens/s at 16 / raw prefill and steps",
        ["raw-bf16"],
        16,
        base_value=whole_answers(WORKLOADS[_W1].new),
    ),
    _times("tokens/s at 16 / best other server", SERVERS, 16, 1.0),
    _times("tokens/s at 32 / best other server", SERVERS, 32, 1.0),
    _times("tokens/s at 1 / best other server", SERVERS, 1, 0.8),
    _times("tokens/s at 1, repetitive text / best other server", SERVERS, 1, 1.5, "tensorloom-repetitive"),
    _times("tokens/s at 16 / naive loop, state to and fro", ["naive"], 16, 20, base_sessions=1),
    _times("tokens/s at 16 / naive loop, whole prefix anew", ["naive-prefix"], 16, base_sessions=1),
    _times("tokens/s at 16 / llama.cpp server, 8-bit weights", ["llama-q8_0"], 16),
    _times("tokens/s at 1 / llama.cpp server, 8-bit weights", ["llama-q8_0"], 1),
    _times("tokens/s at 16 / OpenVINO in process", ["openvino"], 16),
    _times("tokens/s at 1 / OpenVINO in process", ["openvino"], 1),
    _orchestration(REFERENCE_SESSIONS, 0.3),
)


@dataclass(frozen=True)
class Finding:
    """An expectation beside its figure."""

    says: str
    bound: str
    value: float | None
    kept: bool | None


def findings(points: Points) -> list[Finding]:
    measured = [(each, each.value(points)) for each in EXPECTED]
    return [Finding(each.says, each.bound, value, each.kept(value)) for each, value in measured]
