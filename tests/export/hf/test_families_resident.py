"""Every family against the transformers library (golden files), with keys and values in a pool."""

import numpy as np
import pytest

from export.hf.load import load_checkpoint
from export.options import ExportOptions
from tests.export import answers, samples
from tests.export.answers import Answers
from tests.export.residents import BLOCK_SIZE
from tests.export.traced import TracedPool

TOLERANCE = 1e-4
SLOTS = (2, 0, 3, 1)


@pytest.fixture(scope="module", params=samples.cases())
def golden_case(request: pytest.FixtureRequest) -> Answers:
    return answers.read(request.param)


@pytest.fixture(scope="module")
def traced(golden_case: Answers, tmp_path_factory: pytest.TempPathFactory) -> TracedPool:
    name, context = golden_case.name, golden_case.context
    directory = samples.seeded(tmp_path_factory.mktemp("case") / name, name)
    return TracedPool(
        load_checkpoint(directory, name, ExportOptions("float32", "resident", context, block_size=BLOCK_SIZE))
    )


@pytest.fixture
def pool(traced: TracedPool) -> TracedPool:
    """The traced model with a new pool of zeros."""
    traced.claim(len(SLOTS))
    return traced


@pytest.mark.parametrize("piece", [BLOCK_SIZE + 1, 130])
def test_prompts_in_pieces_give_the_librarys_logits_at_every_position(
    pool: TracedPool, golden_case: Answers, piece: int
) -> None:
    starts = range(0, len(golden_case.prompt), piece)
    pieces = [golden_case.prompt[start : start + piece] for start in starts]
    given = [pool.prefill([ids], [2], [start])[0] for ids, start in zip(pieces, starts, strict=True)]
    assert np.abs(np.concatenate(given) - golden_case.logits).max() <= TOLERANCE


def test_greedy_decoding_chooses_the_librarys_64_ids(pool: TracedPool, golden_case: Answers) -> None:
    beginning, expected = golden_case.beginning, golden_case.greedy.tolist()
    chosen = [int(pool.prefill([beginning], [0], [0])[0][-1].argmax())]
    for position in range(len(beginning), len(beginning) + len(expected) - 1):
        chosen.append(int(pool.decode(chosen[-1:], [position])[0].argmax()))
    assert chosen == expected


def test_ragged_rows_in_any_slots_give_the_librarys_logits(pool: TracedPool, golden_case: Answers) -> None:
    prompts = golden_case.prompts
    middles = [len(prompt) // 2 for prompt in prompts]
    pool.prefill([prompt[:m] for prompt, m in zip(prompts, middles, strict=True)], SLOTS, [0] * len(prompts))
    rests = [prompt[m:] for prompt, m in zip(prompts, middles, strict=True)]
    given = [logits[-1] for logits in pool.prefill(rests, SLOTS, middles)]
    assert np.abs(np.stack(given) - golden_case.lasts).max() <= TOLERANCE


def test_ragged_rows_of_a_step_give_the_librarys_logits(pool: TracedPool, golden_case: Answers) -> None:
    prompts = golden_case.prompts
    pasts = [prompt[:-1] for prompt in prompts]
    pool.prefill(pasts, range(len(prompts)), [0] * len(prompts))
    given = pool.decode([prompt[-1] for prompt in prompts], [len(past) for past in pasts])
    assert np.abs(given - golden_case.lasts).max() <= TOLERANCE
