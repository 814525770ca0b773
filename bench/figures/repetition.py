"""One session whose text repeats itself, beside one whose text does not.

The models differ in their weights alone: random ones seldom repeat what they are given, so the repeating
model is made to run into loops.
"""

import json
import urllib.request
from dataclasses import dataclass

from bench.engines.engine import Setup, workload
from bench.engines.tensorloom import PHRASE, serving
from bench.figures.lookup import predictable
from bench.latency import Latencies
from bench.over_http import Served
from bench.small import vocabulary
from bench.small.servables import BF16, LOOPING, Variant
from bench.spread import median, ratio
from bench.text import labelled, number, spread
from bench.workload import WORKLOADS, Workload

_ANSWERS = 5
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Text:
    """One session's figures, and the part of its answers that looking back foretells."""

    latencies: Latencies
    predictable: float


@dataclass(frozen=True)
class Repetition:
    varied: Text
    repetitive: Text

    @property
    def times(self) -> float | None:
        return ratio(self.repetitive.latencies.tokens_per_s, self.varied.latencies.tokens_per_s)


def measure(setup: Setup, quick: bool) -> Repetition:
    return Repetition(_text(setup, BF16, None, quick), _text(setup, LOOPING, PHRASE, quick))


def _text(setup: Setup, variant: Variant, phrase: int | None, quick: bool) -> Text:
    asked = workload(WORKLOADS["W1"], variant.name, phrase)
    with serving(setup, variant) as served:
        shares = [_share(served, asked, number_) for number_ in range(_ANSWERS)]
        seen = served.measure(asked, 1, 4.0 if quick else 25.0).latencies
    return Text(seen, median(shares) or 0.0)


def _share(served: Served, asked: Workload, number_: int) -> float:
    """Of one answer; its text stands for its ids."""
    body = json.loads(asked.body(number_, asked.new_tokens)) | {"stream": False, "stream_options": None}
    address = served.address
    request = urllib.request.Request(
        f"http://{address.host}:{address.port}/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        text = json.load(answer)["choices"][0]["text"]
    return predictable(asked.prompt(number_), vocabulary.build().encode(text).ids)


def render(measured: Repetition) -> str:
    rows = [["", "tokens/s", "pause ms p50 / p99", "tokens per chunk", "foretold by looking back"]]
    for name, text in (("varied", measured.varied), ("repetitive", measured.repetitive)):
        seen = text.latencies
        rows.append(
            [
                name,
                number(seen.tokens_per_s),
                spread(seen.pause_ms),
                number(seen.tokens_per_chunk),
                f"{text.predictable:.0%}",
            ]
        )
    times = f"repetitive / varied: {number(measured.times)}"
    return "\n".join(["One session, W1:", *labelled(rows), times, ""])
