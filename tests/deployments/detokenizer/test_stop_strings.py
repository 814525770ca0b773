"""Stop strings cut a text in the same place however it arrives."""

from hypothesis import example, given
from hypothesis import strategies as st

from deployments.detokenizer.stop_strings import StopStrings

ALPHABET = "ab\né"
texts = st.text(ALPHABET, max_size=40)
stops = st.lists(st.text(ALPHABET, min_size=1, max_size=4), max_size=4)


def shown(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    """Returns the text released for `pieces`, and whether a stop string ended it."""
    watch, out = StopStrings(stops), []
    for piece in pieces:
        released = watch.push(piece)
        out.append(released.text)
        if released.stopped:
            return "".join(out), True
    return "".join([*out, watch.flush()]), False


def cut(text: str, stops: list[str]) -> tuple[str, bool]:
    """Cuts `text` by the definition, character by character: the stop string complete first ends it."""
    for end in range(1, len(text) + 1):
        lengths = [len(stop) for stop in stops if text[:end].endswith(stop)]
        if lengths:
            return text[: end - max(lengths)], True
    return text, False


@given(texts, stops, st.data())
@example("abcd", ["abcd", "c"], None)
def test_the_text_is_cut_at_the_first_complete_stop_string_whatever_the_pieces(
    text: str, stops: list[str], data: st.DataObject | None
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10))) if data else []
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert shown(pieces, stops) == cut(text, stops)


@given(texts, stops, st.integers(1, 5))
def test_no_more_is_held_back_than_could_become_a_stop_string(text: str, stops: list[str], size: int) -> None:
    watch, out = StopStrings(stops), ""
    for start in range(0, len(text), size):
        released = watch.push(text[start : start + size])
        out += released.text
        if released.stopped:
            return
        held = text[len(out) : start + size]
        assert not held or any(stop.startswith(held) for stop in stops)


def test_without_stop_strings_everything_is_shown_at_once() -> None:
    watch = StopStrings([])
    assert watch.push("abc").text == "abc"
    assert watch.flush() == ""


def test_text_that_turns_out_not_to_be_a_stop_string_is_released() -> None:
    watch = StopStrings(["END"])
    assert [watch.push(piece).text for piece in ("x", "E", "N", "!")] == ["x", "", "", "EN!"]
