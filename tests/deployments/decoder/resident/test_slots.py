"""The slot table over a list that stands for the pool: each owner always finds its own content."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.prefix_cache import MIN_SHARED_TOKENS
from deployments.decoder.resident.slots import CachedPrefix, Move, SlotTable

BLOCK = 16
HEAD = tuple(range(100, 100 + MIN_SHARED_TOKENS))


def table(*slots: int, caching: bool = True) -> SlotTable:
    return SlotTable(BlockLayout(slots or (4, 4, 4)), BLOCK, caching)


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


def test_a_cached_slot_in_a_hole_is_swapped_with_its_new_owner():
    slots = table()
    slots.take("a", 2, lambda: (*HEAD, 1))
    slots.take("b", 1, tuple)
    slots.release("a")
    assert slots.arrange() == [Move(1, 0, 1), Move(0, 1, 2)]
    assert slots.take("c", 2, tuple, (*HEAD, 1, 2)) == CachedPrefix(MIN_SHARED_TOKENS + 1)
    assert slots["c"] == 1


def test_an_owner_that_outgrows_its_slot_gets_one_with_more_blocks():
    slots = table(3, 1)
    slots.take("a", 1, tuple)
    slots.take("b", 1, tuple)
    slots.require_blocks("b", 2)
    assert sorted((move.source, move.target) for move in slots.arrange()) == [(0, 1), (1, 0)]
    assert (slots["b"], slots["a"]) == (0, 1)


def test_a_prompt_that_continues_a_cached_slot_takes_it_over():
    slots = table()
    slots.take("first turn", 2, lambda: (*HEAD, 1, 2))
    slots.release("first turn")
    assert slots.take("second turn", 2, tuple, (*HEAD, 1, 2, 3)) == CachedPrefix(MIN_SHARED_TOKENS + 2)
    assert slots["second turn"] == 0


def test_a_prompt_that_shares_a_prefix_with_a_running_one_starts_from_a_copy():
    slots = table()
    slots.take("a", 2, lambda: (*HEAD, 1))
    assert slots.take("b", 2, tuple, (*HEAD, 2)) == CachedPrefix(MIN_SHARED_TOKENS, Move(0, 1, 1))


def test_a_cached_slot_of_which_little_is_shared_is_copied():
    slots = table()
    slots.take("a", 3, lambda: (*HEAD, *range(2 * MIN_SHARED_TOKENS)))
    slots.release("a")
    assert slots.take("b", 2, tuple, (*HEAD, 7)) == CachedPrefix(MIN_SHARED_TOKENS, Move(0, 1, 1))


def test_the_least_recently_used_slot_is_evicted():
    slots = table(2)
    for owner, last in (("a", 1), ("b", 2)):
        slots.take(owner, 1, lambda last=last: (*HEAD[:-1], last, last))
    slots.release("b")
    slots.release("a")
    slots.take("c", 1, tuple, (5, 6))
    assert slots["c"] == 1


def test_without_caching_nothing_is_found():
    slots = table(caching=False)
    slots.take("a", 2, lambda: (*HEAD, 1))
    slots.release("a")
    assert slots.take("b", 2, tuple, (*HEAD, 1, 2)) == CachedPrefix()


def test_nothing_is_found_after_the_cache_was_cleared():
    slots = table()
    slots.take("a", 2, lambda: (*HEAD, 1))
    slots.release("a")
    slots.clear_cache()
    assert slots.take("b", 2, tuple, (*HEAD, 1, 2)) == CachedPrefix()


class SlotMachine(RuleBasedStateMachine):
    """`pool` holds the token ids written to each slot, `written` those that each owner must find."""

    layout = BlockLayout((5, 3, 2, 1))

    def __init__(self) -> None:
        super().__init__()
        self.slots = SlotTable(self.layout, BLOCK)
        self.pool: list[tuple[int, ...]] = [()] * self.layout.slot_count
        self.written: dict[str, tuple[int, ...]] = {}
        self.names = 0

    @rule(head=st.integers(0, 1), length=st.integers(1, 3 * BLOCK), tail=st.integers(0, 9))
    def take(self, head: int, length: int, tail: int) -> None:
        prompt = (*([head] * length), tail + 10, tail)
        if not self._fits(len(prompt)):
            return
        self.names += 1
        owner = str(self.names)
        self.written[owner] = ()
        prefix = self.slots.take(owner, self._blocks(len(prompt)), lambda: self.written[owner], prompt)
        if prefix.copy is not None:
            self._move([prefix.copy])
        self.written[owner] = prompt[: prefix.length]
        self._move(self.slots.arrange())
        assert prefix.length < len(prompt)
        self._write(owner, prompt)

    @rule(which=st.integers(0, 4), count=st.integers(1, BLOCK))
    def grow(self, which: int, count: int) -> None:
        if not self.written:
            return
        owner = list(self.written)[which % len(self.written)]
        ids = (*self.written[owner], *([7] * count))
        if self._fits(len(ids), instead_of=owner):
            self.slots.require_blocks(owner, self._blocks(len(ids)))
            self._move(self.slots.arrange())
            self._write(owner, ids)

    @rule(which=st.integers(0, 4))
    def release(self, which: int) -> None:
        if self.written:
            owner = list(self.written)[which % len(self.written)]
            self.slots.release(owner)
            del self.written[owner]

    @invariant()
    def each_owner_finds_what_it_wrote(self) -> None:
        self.slots.audit()
        for owner, ids in self.written.items():
            slot = self.slots[owner]
            assert self.pool[slot][: len(ids)] == ids
            assert len(ids) <= self.layout.blocks_per_slot[slot] * BLOCK

    def _write(self, owner: str, ids: tuple[int, ...]) -> None:
        slot, held = self.slots[owner], self.written[owner]
        self.pool[slot] = self.pool[slot][: len(held)] + ids[len(held) :]
        self.written[owner] = ids

    def _move(self, moves: list[Move]) -> None:
        before = list(self.pool)
        for move in moves:
            blocks = min(
                move.blocks,
                self.layout.blocks_per_slot[move.source],
                self.layout.blocks_per_slot[move.target],
            )
            self.pool[move.target] = before[move.source][: blocks * BLOCK]
        if len(moves) > 1:
            assert self.slots.rows == len(self.slots), "moves left a hole"

    def _fits(self, length: int, instead_of: str | None = None) -> bool:
        others = [self._blocks(len(ids)) for owner, ids in self.written.items() if owner != instead_of]
        return self.layout.fits([*others, self._blocks(length)])

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // BLOCK)


TestSlots = SlotMachine.TestCase
TestSlots.settings = settings(max_examples=150, stateful_step_count=40)
