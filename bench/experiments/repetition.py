"""One session whose text repeats itself, beside one whose text does not.

The models differ in their weights only: random weights seldom repeat what they are given, so those of the
repeating model are made to run into loops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.engines.contender import Setup, workload
from bench.engines.tensorloom import PHRASE, serving_variant
from bench.latency import Latencies
from bench.load import Served
from bench.random_model import vocabulary
from bench.random_model.servables import BF16, LOOPING, Variant
from bench.spread import median, ratio
from bench.tables import labelled, number, spread
from bench.workload import WORKLOADS, Workload

_ANSWERS = 5


@dataclass(frozen=True)
class SessionText:
    """One session's figures, and the part of its answers that prompt lookup predicts."""

    latencies: Latencies
    predictable: float


@dataclass(frozen=True)
class Repetition:
    """Both sessions."""

    varied: SessionText
    repetitive: SessionText

    @property
    def times(self) -> float | None:
        """The throughputs' ratio."""
        return ratio(self.repetitive.latencies.tokens_per_s, self.varied.latencies.tokens_per_s)


def measure(setup: Setup, quick: bool) -> Repetition:
    """Measures one model after the other."""
    return Repetition(_text(setup, BF16, None, quick), _text(setup, LOOPING, PHRASE, quick))


def _text(setup: Setup, variant: Variant, phrase: int | None, quick: bool) -> SessionText:
    asked = workload(WORKLOADS["W1"], variant.name, phrase)
    with serving_variant(setup, variant) as served:
        shares = [_share(served, asked, number_) for number_ in range(_ANSWERS)]
        seen = served.measure(asked, 1, 4.0 if quick else 25.0).latencies
    return SessionText(seen, median(shares) or 0.0)


def _share(served: Served, asked: Workload, number_: int) -> float:
    """Returns the predictable part of one answer, whose token ids are those of its text."""
    prompt = asked.prompt(number_)
    body = {
        "model": asked.model,
        "prompt": prompt,
        "max_tokens": asked.new_tokens,
        "temperature": 0,
        "ignore_eos": True,
    }
    text = served.address.fetch("/v1/completions", body)["choices"][0]["text"]
    return predictable(prompt, vocabulary.build().encode(text).ids)


def predictable(prompt: Sequence[int], answer: Sequence[int], given: int = 2) -> float:
    """Returns the part of `answer`'s tokens that prompt lookup predicts.

    Such a token is the one that followed the last `given` tokens at their latest earlier occurrence.
    """
    ids = [*prompt, *answer]
    last: dict[tuple[int, ...], int] = {}
    found = 0
    for place in range(given, len(ids)):
        before = tuple(ids[place - given : place])
        found += place >= len(prompt) and last.get(before) == ids[place]
        last[before] = ids[place]
    return found / max(1, len(answer))


def render(measured: Repetition) -> str:
    """Returns a line for each session, and their ratio."""
    rows = [["", "tokens/s", "pause ms p50 / p99", "tokens per chunk", "predicted by prompt lookup"]]
    for name, text in (("varied", measured.varied), ("repetitive", measured.repetitive)):
        seen = text.latencies
        figures = [number(seen.tokens_per_s), spread(seen.pause_ms), number(seen.tokens_per_chunk)]
        rows.append([name, *figures, f"{text.predictable:.0%}"])
    times = f"repetitive / varied: {number(measured.times)}"
    return "\n".join(["One session, W1:", *labelled(rows), times, ""])
