"""Rows of different lengths in one `prefill` call give what each gives alone, logits and pool alike."""

from collections.abc import Sequence

import numpy as np
import pytest

from contract.tensors import Array, Ids
from export.hf.load import load_checkpoint
from export.options import INT8, ExportOptions
from tests.export import answers, samples
from tests.export.residents import BLOCK_SIZE
from tests.export.traced import TracedPool

KINDS = {
    "gpt2-plain": "float32",
    "mistral-window": "float32",
    "gemma3_text-plain": "float32",
    "falcon-alibi": "float32",
    "mixtral-window": "float32",
    "llama-plain": INT8,
}
"""Golden cases, and their weights: learned positions, sliding windows, alibi, experts, int8."""
TOLERANCE = 1e-4
ROUNDED = 1e-2
"""With int8 weights a product's rows are rounded, so that float32's last bit may become one in 127."""
SLOTS = (2, 5, 0, 3)
FIRST = (1, 90, 7, 1)
SECOND = (40, 1, 1, 60)
"""Rows that continue: the first two change places."""


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def pool(case: str, tmp_path_factory: pytest.TempPathFactory) -> TracedPool:
    directory = samples.seeded(tmp_path_factory.mktemp("case") / case, case)
    options = ExportOptions(
        "float32", "resident", answers.read(case).context, block_size=BLOCK_SIZE, weights=KINDS[case]
    )
    return TracedPool(load_checkpoint(directory, case, options))


@pytest.fixture(scope="module")
def prompts(case: str) -> list[Ids]:
    """The tokens of each row: of its two pieces, and one to decode."""
    ids = answers.read(case).prompt
    return [np.roll(ids, 5 * i)[: a + b + 1] for i, (a, b) in enumerate(zip(FIRST, SECOND, strict=True))]


def run(pool: TracedPool, prompts: Sequence[Ids], rows: Sequence[int]) -> list[list[Array]]:
    """Returns the logits of the first pieces, the second, and a decode step, of these rows in their slots."""
    pool.claim(max(SLOTS) + 1)
    slots = [SLOTS[row] for row in rows]
    middles, ends = [FIRST[row] for row in rows], [FIRST[row] + SECOND[row] for row in rows]
    first = [prompts[row][:middle] for row, middle in zip(rows, middles, strict=True)]
    second = [prompts[row][middle:end] for row, middle, end in zip(rows, middles, ends, strict=True)]
    pieces = [pool.prefill(first, slots, [0] * len(rows)), pool.prefill(second, slots, middles)]
    tokens, positions = np.zeros((2, max(SLOTS) + 1), np.int32)
    tokens[slots], positions[slots] = [prompts[row][-1] for row in rows], ends
    decoded = pool.decode(tokens, positions)
    return [*pieces, [decoded[slot] for slot in slots]]


def test_ragged_rows_and_what_is_decoded_after_them_are_as_each_alone(
    case: str, pool: TracedPool, prompts: list[Ids]
) -> None:
    together = run(pool, prompts, range(len(prompts)))
    tolerance = ROUNDED if KINDS[case] == INT8 else TOLERANCE
    for row in range(len(prompts)):
        for given, alone in zip(together, run(pool, prompts, [row]), strict=True):
            assert given[row].shape == alone[0].shape
            assert np.abs(given[row] - alone[0]).max() <= tolerance
