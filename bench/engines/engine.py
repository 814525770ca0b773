"""What a comparison asks of every way to run the model."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.rounds import HttpFigures
from bench.small import vocabulary
from bench.small.cache import Cache
from bench.workload import Lengths, Workload

MODEL = "small"
"""What servers that can be told a name call the model."""
Measure = Callable[[Workload, int, float], HttpFigures]
"""A workload, sessions at a time and seconds, to figures."""


class Unavailable(Exception):
    """An engine cannot be run here; the message says why."""


class Kind(StrEnum):
    """What a row stands for in a comparison."""

    OWN = "own"
    RAW = "raw"
    NAIVE = "naive"
    SERVER = "server"
    """Another engine, over HTTP."""
    LIBRARY = "library"
    """Another engine, in process."""


@dataclass(frozen=True)
class Setup:
    """What an engine is given: a place for what it makes, and one for what it says."""

    cache: Cache
    logs: Path
    decoder_options: str = "{}"
    """Further options of this application's decoder, as JSON."""

    @property
    def decoder(self) -> Any:
        return json.loads(self.decoder_options)


@dataclass(frozen=True)
class Engine:
    """One row of the comparison."""

    name: str
    title: str
    kind: Kind
    prepare: Callable[[Setup], None]
    """Installs and converts whatever is missing; an exception where that fails."""
    started: Callable[[Setup], AbstractContextManager[Measure]]
    """Ready to be measured; ended afterwards."""
    most_sessions: int | None = None
    """It can do no more at a time."""
    phrase: int | None = None
    """Prompts repeat a phrase of so many tokens, in place of varied text."""


def workload(lengths: Lengths, model: str = MODEL, phrase: int | None = None) -> Workload:
    """For the random model: prompts are of words alone, so that text stands for the same ids."""
    return Workload(model, lengths.prompt, lengths.new, vocabulary.END_ID, vocabulary.FIRST_WORD, phrase)
