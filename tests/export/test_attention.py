"""How many blocks attention may read at a time."""

import pytest

from export.attention import counts


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (4, (1, 2, 3, 4)),
        (8, (1, 2, 3, 4, 6, 8)),
        (16, (1, 2, 3, 4, 6, 9, 13, 16)),
    ],
)
def test_choices_thin_out_and_end_with_all(blocks: int, expected: tuple[int, ...]) -> None:
    assert counts(blocks) == expected
