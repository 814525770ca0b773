"""Which slot is whose, over a list that stands for the pool: whatever happens, each finds its own content."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.prefix_cache import SHORTEST
from deployments.decoder.resident.slots import Beginning, Move, SlotTable

BLOCK = 16
HEAD = tuple(range(100, 100 + SHORTEST))


def table(*slots: int, shares: bool = True) -> SlotTable:
    return SlotTable(BlockLayout(slots or (4, 4, 4)), BLOCK, shares)


def test_the_lowest_free_slot_is_given_out_first():
    slots = table()
    for owner in "abc":
        slots.take(owner, 1, tuple)
    assert [slots[owner] for owner in "abc"] == [0, 1, 2]
    slots.release("a")
    slots.take("d", 1, tuple)
    assert (slots["d"], slots.rows) == (0, 3)


def test_the_highest_owners_move_into_the_holes():
    slots = table()
    for owner in "abcd":
        slots.take(owner, 2, tuple)
    slots.release("a")
    slots.release("c")
    assert slots.arrange() == [Move(3, 0, 2)]
    assert (slots["b"], slots["d"], slots.rows) == (1, 0, 2)


def test_what_is_kept_in_a_hole_changes_places_with_its_new_owner():
    slots = table()
    slots.take("a", 2, lambda: (*HEAD, 1))
    slots.take("b", 1, tuple)
    slots.release("a")
    assert slots.arrange() == [Move(1, 0, 1), Move(0, 1, 2)]
    assert slots.take("c", 2, tuple, (*HEAD, 1, 2)) == Beginning(SHORTEST + 1)
    assert slots["c"] == 1


def test_an_owner_that_outgrows_its_slot_gets_a_deeper_one():
    slots = table(3, 1)
    slots.take("a", 1, tuple)
    slots.take("b", 1, tuple)
    slots.need("b", 2)
    assert sorted((move.source, move.target) for move in slots.arrange()) == [(0, 1), (1, 0)]
    assert (slots["b"], slots["a"]) == (0, 1)


def test_a_prompt_that_goes_on_with_a_kept_text_takes_its_slot_over():
    slots = table()
    slots.take("first turn", 2, lambda: (*HEAD, 1, 2))
    slots.release("first turn")
    assert slots.take("second turn", 2, tuple, (*HEAD, 1, 2, 3)) == Beginning(SHORTEST + 2)
    assert slots["second turn"] == 0


def test_a_prompt_that_begins_like_a_running_one_starts_from_a_copy():
    slots = table()
    slots.take("a", 2, lambda: (*HEAD, 1))
    assert slots.take("b", 2, tuple, (*HEAD, 2)) == Beginning(SHORTEST, Move(0, 1, 1))


def test_a_text_of_which_little_is_shared_is_left_for_others():
    slots = table()
    slots.take("a", 3, lambda: (*HEAD, *range(2 * SHORTEST)))
    slots.release("a")
    assert slots.take("b", 2, tuple, (*HEAD, 7)) == Beginning(SHORTEST, Move(0, 1, 1))


def test_the_least_recently_used_text_gives_way():
    slots = table(2)
    for owner, last in (("a", 1), ("b", 2)):
        slots.take(owner, 1, lambda last=last: (*HEAD[:-1], last, last))
    slots.release("b")
    slots.release("a")
    slots.take("c", 1, tuple, (5, 6))
    assert slots["c"] == 1


def test_without_sharing_nothing_is_kept():
    slots = table(shares=False)
    slots.take("a", 2, lambda: (*HEAD, 1))
    slots.release("a")
    assert slots.take("b", 2, tuple, (*HEAD, 1, 2)) == Beginning()


def test_nothing_is_found_in_slots_after_they_were_lost():
    slots = table()
    slots.take("a", 2, lambda: (*HEAD, 1))
    slots.release("a")
    slots.forget_kept()
    assert slots.take("b", 2, tuple, (*HEAD, 1, 2)) == Beginning()


class SlotMachine(RuleBasedStateMachine):
    """`pool` holds, for each slot, the blocks that were written there; an owner writes what `texts` says."""

    ladder = BlockLayout((5, 3, 2, 1))

    def __init__(self) -> None:
        super().__init__()
        self.slots = SlotTable(self.ladder, BLOCK)
        self.pool: list[tuple[int, ...]] = [()] * self.ladder.total
        self.texts: dict[str, tuple[int, ...]] = {}
        self.names = 0

    @rule(head=st.integers(0, 1), length=st.integers(1, 3 * BLOCK), tail=st.integers(0, 9))
    def take(self, head: int, length: int, tail: int) -> None:
        prompt = (*([head] * length), tail + 10, tail)
        if not self._fits(len(prompt)):
            return
        self.names += 1
        owner = str(self.names)
        self.texts[owner] = ()
        beginning = self.slots.take(owner, self._blocks(len(prompt)), lambda: self.texts[owner], prompt)
        if beginning.copy is not None:
            self._move([beginning.copy])
        self.texts[owner] = prompt[: beginning.cached]
        self._move(self.slots.arrange())
        assert beginning.cached < len(prompt)
        self._write(owner, prompt)

    @rule(which=st.integers(0, 4), count=st.integers(1, BLOCK))
    def grow(self, which: int, count: int) -> None:
        if not self.texts:
            return
        owner = list(self.texts)[which % len(self.texts)]
        text = (*self.texts[owner], *([7] * count))
        if self._fits(len(text), instead_of=owner):
            self.slots.need(owner, self._blocks(len(text)))
            self._move(self.slots.arrange())
            self._write(owner, text)

    @rule(which=st.integers(0, 4))
    def release(self, which: int) -> None:
        if self.texts:
            owner = list(self.texts)[which % len(self.texts)]
            self.slots.release(owner)
            del self.texts[owner]

    @invariant()
    def each_owner_finds_what_it_wrote(self) -> None:
        self.slots.audit()
        for owner, text in self.texts.items():
            slot = self.slots[owner]
            assert self.pool[slot][: len(text)] == text
            assert len(text) <= self.ladder.depths[slot] * BLOCK

    def _write(self, owner: str, text: tuple[int, ...]) -> None:
        slot, held = self.slots[owner], self.texts[owner]
        self.pool[slot] = self.pool[slot][: len(held)] + text[len(held) :]
        self.texts[owner] = text

    def _move(self, moves: list[Move]) -> None:
        before = list(self.pool)
        for move in moves:
            depth = min(move.blocks, self.ladder.depths[move.source], self.ladder.depths[move.target])
            self.pool[move.target] = before[move.source][: depth * BLOCK]
        if len(moves) > 1:
            assert self.slots.rows == len(self.slots), "moves left a hole"

    def _fits(self, length: int, instead_of: str | None = None) -> bool:
        others = [self._blocks(len(text)) for owner, text in self.texts.items() if owner != instead_of]
        return self.ladder.fits([*others, self._blocks(length)])

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // BLOCK)


TestSlots = SlotMachine.TestCase
TestSlots.settings = settings(max_examples=150, stateful_step_count=40)
