"""The naive loop on a real model server with the model that can be worked by hand."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from bench.engines.naive import NaiveLoop
from tests import servers
from tests.deployments.decoder.arithmetic import continuation

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def loop(arithmetic_base: Path) -> Iterator[NaiveLoop]:
    flags = ("--model_name=arithmetic", f"--model_base_path={arithmetic_base}")
    with servers.ModelServer(*flags) as server, server.channel() as channel:
        yield NaiveLoop(channel, "arithmetic")


def test_it_says_what_the_model_says_by_hand(loop: NaiveLoop):
    assert list(loop.generate([1, 2], 4)) == [5, 11, 7, 15]


def test_growing_state_is_sent_back_whole(loop: NaiveLoop):
    # The model checks on every call that its history adds up to its total.
    assert list(loop.generate([3, 1, 4], 40)) == continuation([3, 1, 4], 40)


def test_every_generation_begins_with_fresh_state(loop: NaiveLoop):
    assert list(islice(loop.generate([9, 9], 3), 2)) == continuation([9, 9], 2)
    assert list(loop.generate([1, 2], 2)) == [5, 11]


def test_the_model_is_described_by_its_servable(loop: NaiveLoop):
    assert (loop.manifest.vocabulary_size, loop.manifest.context_length) == (16, 512)
