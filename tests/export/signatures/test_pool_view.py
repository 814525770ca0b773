"""How many blocks attention may read at a time."""

import pytest

from export.signatures.pool_view import choices


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
def test_choices_thin_out_and_end_with_all(
    blocks: int, first: int, growth: float, expected: tuple[int, ...]
) -> None:
    assert choices(blocks, first, growth) == expected
