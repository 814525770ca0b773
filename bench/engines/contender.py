"""The interface that the harness expects of every way to run the model."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.latency import Measurement
from bench.random_model import vocabulary
from bench.random_model.servables import Cache
from bench.workload import Lengths, Workload

MODEL = "small"
"""The model's name at servers that let it be chosen."""
GPT2, LLAMA = "gpt2-small", "llama-0.5b"
"""The models of a comparison, whose figures are not compared with one another."""
MODEL_TITLES = {
    GPT2: "GPT-2's smallest shape, random weights",
    LLAMA: "a Llama of 0.5 billion parameters, random weights",
}
Measure = Callable[[Workload, int, float], Measurement]
"""Measures a workload with a number of sessions for some seconds."""


class ContenderKind(StrEnum):
    """What a contender stands for in a comparison."""

    OWN = "own"
    RAW = "raw"
    NAIVE = "naive"
    SERVER = "server"
    """Another engine, over HTTP."""
    LIBRARY = "library"
    """Another engine, in process."""


@dataclass(frozen=True)
class Setup:
    """Directories for what contenders make and for their logs, and how they are started."""

    cache: Cache
    logs: Path
    decoder_options: str = "{}"
    """Additional options of this application's decoder, as JSON."""
    start_timeout_s: float = 300.0
    model_server_environment: dict[str, str] = field(default_factory=dict)
    """Environment variables of the application's model server; empty until the application has run once."""

    @property
    def decoder(self) -> Any:
        """The decoder options, parsed."""
        return json.loads(self.decoder_options)


@dataclass(frozen=True)
class Contender:
    """One way to run the model."""

    name: str
    title: str
    kind: ContenderKind
    prepare: Callable[[Setup], object]
    """Installs and converts whatever is missing; raises where that fails."""
    started: Callable[[Setup], AbstractContextManager[Measure]]
    """Starts it until it can be measured, and ends it afterwards."""
    most_sessions: int | None = None
    """The most sessions that it can run at a time; None: no limit."""
    phrase: int | None = None
    """Prompts repeat a phrase of so many tokens; None: they do not."""
    model: str = GPT2


def already_running(
    name: str, kind: ContenderKind, measure: Measure, most_sessions: int | None = None
) -> Contender:
    """Returns a contender that is started and ended by the caller."""
    return Contender(name, name, kind, lambda _: None, lambda _: nullcontext(measure), most_sessions)


def workload(lengths: Lengths, model: str = MODEL, phrase: int | None = None) -> Workload:
    """Returns a workload for the random model; prompts are words only, so that text and token ids agree."""
    return Workload(model, lengths.prompt, lengths.new, vocabulary.END_ID, vocabulary.FIRST_WORD, phrase)
