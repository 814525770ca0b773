"""How much of a text looking back would have foretold. Pure."""

from collections.abc import Sequence


def predictable(prompt: Sequence[int], answer: Sequence[int], given: int = 2) -> float:
    """The part of `answer`'s tokens that followed the last `given` tokens when these last came before."""
    text = [*prompt, *answer]
    last: dict[tuple[int, ...], int] = {}
    found = 0
    for place in range(given, len(text)):
        before = tuple(text[place - given : place])
        found += place >= len(prompt) and last.get(before) == text[place]
        last[before] = text[place]
    return found / max(1, len(answer))
