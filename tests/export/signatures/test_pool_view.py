"""The numbers of blocks that a call can read."""

import pytest

from export.signatures.pool_view import growing_counts


@pytest.mark.parametrize(
    ("blocks", "first", "growth", "expected"),
    [
        (1, 1, 1.5, (1,)),
        (1, 2, 4, (1,)),
        (2, 2, 4, (2,)),
        (4, 1, 1.5, (1, 2, 3, 4)),
        (8, 2, 4, (2, 8)),
        (16, 1, 1.5, (1, 2, 3, 4, 6, 9, 13, 16)),
        (64, 2, 4, (2, 8, 32, 64)),
    ],
)
def test_counts_grow_by_the_factor_and_end_with_all_blocks(
    blocks: int, first: int, growth: float, expected: tuple[int, ...]
) -> None:
    assert growing_counts(blocks, first, growth) == expected
