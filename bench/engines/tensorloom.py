"""This application, as `python -m deployments` serves it, over HTTP."""

import contextlib
from collections.abc import Iterator
from functools import partial

from bench import application
from bench.engines.engine import Engine, Kind, Measure, Setup
from bench.load import Address
from bench.over_http import Served
from bench.settings import HOST
from bench.small import servables
from bench.small.servables import Variant, base_path
from bench.small.settings import settings

PHRASE = 8
"""Tokens of the phrase that a prompt repeats, where text is to be repetitive."""
_START_TIMEOUT_S = 300.0


@contextlib.contextmanager
def serving(setup: Setup, variant: Variant) -> Iterator[Served]:
    """The application with one model, whose name is the variant's; it answers."""
    chosen = settings(variant.name, base_path(setup.cache, variant), setup.decoder)
    with application.serving(chosen, setup.logs / f"tensorloom-{variant.name}.log") as child:
        application.wait_until_ready(child, chosen, _START_TIMEOUT_S)
        yield Served(Address(HOST, chosen.port), child, variant.name)


@contextlib.contextmanager
def _started(setup: Setup, variant: Variant) -> Iterator[Measure]:
    with serving(setup, variant) as served:
        yield served.measure


def _engine(name: str, title: str, variant: Variant, phrase: int | None = None) -> Engine:
    def prepare(setup: Setup) -> None:
        base_path(setup.cache, variant)

    started = partial(_started, variant=variant)
    return Engine(name, f"Tensorloom, {title}", Kind.OWN, prepare, started, phrase=phrase)


BF16 = _engine("tensorloom-bf16", "resident bf16", servables.BF16)
F32 = _engine("tensorloom-f32", "resident f32", servables.F32)
EXPLICIT = _engine("tensorloom-explicit", "explicit bf16", servables.EXPLICIT_BF16)
REPETITIVE = _engine("tensorloom-repetitive", "resident bf16, repetitive text", servables.LOOPING, PHRASE)
