from hypothesis import given
from hypothesis import strategies as st

from deployments.decoder.slots import Move, SlotTable


def test_the_lowest_free_slot_is_given_out_first():
    slots = SlotTable(4)
    assert [slots.take(owner) for owner in "abc"] == [0, 1, 2]
    slots.release("a")
    assert slots.take("d") == 0
    assert slots.rows == 3


def test_the_highest_owners_move_into_the_holes():
    slots = SlotTable(4)
    for owner in "abcd":
        slots.take(owner)
    slots.release("a")
    slots.release("c")
    assert slots.compact() == [Move(3, 0)]
    assert (slots["b"], slots["d"], slots.rows) == (1, 0, 2)


@given(st.lists(st.tuples(st.sampled_from(["take", "release", "compact"]), st.integers(0, 9))))
def test_moves_carry_every_owners_content_along(events):
    """A list stands for the pool; whatever happens, each owner finds what it wrote."""
    slots, pool = SlotTable(6), [None] * 6
    for event, number in events:
        owner = str(number)
        if event == "take" and owner not in slots and len(slots) < slots.total:
            pool[slots.take(owner)] = owner
        elif event == "release":
            slots.release(owner)
        elif event == "compact":
            for move in slots.compact():
                pool[move.target], pool[move.source] = pool[move.source], None
            assert slots.rows == len(slots)
        slots.audit()
        assert all(pool[slots[str(i)]] == str(i) for i in range(10) if str(i) in slots)
