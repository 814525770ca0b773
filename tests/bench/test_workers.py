"""Batches of a library, measured with one that answers at once."""

from collections.abc import Sequence

from bench.workers.answers import Arrived, LoadQuestion, measure_batches
from bench.workload import Workload

ASKED = Workload("m", prompt_tokens=6, new_tokens=4, vocabulary=50000)


class Library:
    """Returns what it is asked for, reporting every step if it does so."""

    def __init__(self, reports: bool) -> None:
        self._reports = reports
        self.prompts: list[Sequence[int]] = []

    def generate(self, prompts: Sequence[Sequence[int]], count: int, arrived: Arrived) -> None:
        self.prompts += prompts
        for _ in range(count):
            if self._reports:
                arrived()


def test_every_token_of_a_batch_counts_once():
    library = Library(reports=True)
    answer = measure_batches(library.generate, LoadQuestion(ASKED, sessions=5, seconds=1e-9))
    seen = answer.latencies
    assert answer.cpu_ms >= 0
    assert seen.tokens == 5 * 4
    assert len(library.prompts) == 5
    assert seen.inter_token_ms.p50 is not None


def test_a_library_that_reports_nothing_has_all_tokens_at_the_end():
    question = LoadQuestion(ASKED, sessions=2, seconds=1e-9)
    seen = measure_batches(Library(reports=False).generate, question).latencies
    assert (seen.tokens, seen.tokens_per_chunk) == (8, 4)
    assert seen.inter_token_ms.p50 is None


def test_no_prompt_comes_twice():
    library = Library(reports=True)
    measure_batches(library.generate, LoadQuestion(ASKED, sessions=3, seconds=0.001))
    assert len(set(map(tuple, library.prompts))) == len(library.prompts)
