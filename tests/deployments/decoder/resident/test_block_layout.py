from hypothesis import given
from hypothesis import strategies as st

from deployments.decoder.resident.block_layout import BlockLayout


def test_with_room_for_all_every_slot_has_every_block():
    assert BlockLayout.of(total_blocks=40, max_slots=8, blocks=5) == BlockLayout((8,) * 5)


def test_with_less_room_later_blocks_have_fewer_slots():
    layout = BlockLayout.of(total_blocks=24, max_slots=8, blocks=5)
    assert layout.slots == (8, 7, 4, 3, 2)
    assert layout.blocks_per_slot == (5, 5, 4, 3, 2, 2, 2, 1)


def test_with_less_than_one_context_there_is_one_slot_of_what_there_is():
    assert BlockLayout.of(total_blocks=3, max_slots=8, blocks=5) == BlockLayout((1, 1, 1, 0, 0))


def test_sequences_fit_by_what_they_need_in_any_order():
    layout = BlockLayout((4, 2, 1))
    assert layout.fits([1, 3, 1, 2])
    assert not layout.fits([2, 3, 2])
    assert not layout.fits([1] * 5)
    assert not layout.fits([4])


@given(total=st.integers(1, 500), most=st.integers(1, 40), blocks=st.integers(1, 20))
def test_no_more_is_given_out_than_there_is(total, most, blocks):
    layout = BlockLayout.of(total, most, blocks)
    assert sum(layout.slots) <= total
    assert layout.slot_count <= most
    assert layout.blocks_per_slot[0] == min(total, blocks)
