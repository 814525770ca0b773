"""One configuration of a family, whose answers the golden files hold."""

from dataclasses import dataclass
from typing import Any

Config = dict[str, Any]


@dataclass(frozen=True)
class Case:
    shows: str
    """What a model that passes the others might still do wrong here."""
    config: Config
    """config.json, in the form that published checkpoints have."""
    prefix: str = ""
    """What the library puts before all names, and published files lack."""
    attention: str = "eager"
    """The library's implementation of it."""
    greedy_prompt: int = 7
    """How much of the prompt the greedy ids follow."""
    context: int | None = None
    """What the export is limited to; None: all that the configuration allows."""
