"""Token chunks to text chunks: which text is shown, which tokens are counted, how a generation ends."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.detokenizer.text_assembler import TextAssembler
from deployments.detokenizer.token_decoder import TokenDecoder
from deployments.detokenizer.token_texts import TokenTexts
from deployments.messages import FinishReason, TextChunk, TokenChunk, TokenLogprobs
from tests.deployments.fakes import BOS, EOS, byte_tokenizer

STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH


def assembled(chunks: Sequence[TokenChunk], stops: Sequence[str] = (), eos: int = EOS) -> list[TextChunk]:
    """Returns the text chunks, up to the one with `finish`."""
    assembler, out = TextAssembler(TokenDecoder(byte_tokenizer()), (), stops, {eos}), []
    for chunk in chunks:
        if text := assembler.push(chunk):
            out.append(text)
            if text.finish:
                break
    return out


def test_what_was_cached_is_told_with_the_first_text():
    chunks = [TokenChunk(tuple("é".encode()[:1]), cached=7), TokenChunk(tuple("é".encode()[1:]), LENGTH)]
    assert assembled(chunks) == [TextChunk("é", 2, LENGTH, cached=7)]


def test_chunks_without_new_text_wait_and_their_tokens_are_counted_with_the_next() -> None:
    first, second = "é".encode()
    chunks = [TokenChunk((token,)) for token in (97, first, second)]
    assert assembled([*chunks, TokenChunk((98,), LENGTH)]) == [
        TextChunk("a", 1),
        TextChunk("é", 2),
        TextChunk("b", 1, LENGTH),
    ]


def test_the_token_that_ends_the_generation_is_counted_and_not_shown() -> None:
    assert assembled([TokenChunk((97, EOS), STOP)]) == [TextChunk("a", 2, STOP)]


def test_an_end_token_that_has_a_text_is_not_shown_either() -> None:
    """The vocabulary of a model need not mark its end token as special."""
    assert assembled([TokenChunk((97, ord(".")), STOP)], eos=ord(".")) == [TextChunk("a", 2, STOP)]


def test_an_end_token_that_did_not_end_the_generation_is_text_like_any_other() -> None:
    assert assembled([TokenChunk((ord("."), 97), LENGTH)], eos=ord(".")) == [TextChunk(".a", 2, LENGTH)]


def test_special_tokens_are_not_shown() -> None:
    assert assembled([TokenChunk((97, BOS, EOS, 98), LENGTH)]) == [TextChunk("ab", 4, LENGTH)]


def test_a_stop_string_inside_a_chunk_ends_the_count_with_its_last_token() -> None:
    assert assembled([TokenChunk(tuple(b"abcdef"))], ["cd"]) == [TextChunk("ab", 4, STOP)]


def test_a_stop_string_over_two_chunks_is_held_back_and_not_shown() -> None:
    chunks = [TokenChunk(tuple(b"abc")), TokenChunk(tuple(b"d")), TokenChunk(tuple(b"e"), LENGTH)]
    assert assembled(chunks, ["cd"]) == [TextChunk("ab", 3), TextChunk("", 1, STOP)]


def test_text_held_back_for_a_stop_string_is_shown_when_the_generation_ends_first() -> None:
    assert assembled([TokenChunk(tuple(b"abc"), LENGTH)], ["cd"]) == [TextChunk("abc", 3, LENGTH)]


def test_a_character_that_stays_broken_can_complete_a_stop_string() -> None:
    chunks = [TokenChunk((97, "é".encode()[0]), LENGTH)]
    assert assembled(chunks, ["�"]) == [TextChunk("a", 2, STOP)]


def told(chunks: Sequence[TokenChunk], stops: Sequence[str] = ()) -> list[list[tuple[str, int]]]:
    """Returns the tokens and their offsets, by text chunk, for a request that asks for log-probabilities."""
    tokenizer = byte_tokenizer()
    assembler = TextAssembler(TokenDecoder(tokenizer), (), stops, {EOS}, TokenTexts(tokenizer))
    texts = [text for chunk in chunks if (text := assembler.push(chunk))]
    return [[(each.token.text, each.offset) for each in text.logprobs or ()] for text in texts]


def chunk(text: str, finish: FinishReason | None = None, end: tuple[int, ...] = ()) -> TokenChunk:
    ids = (*text.encode(), *end)
    return TokenChunk(ids, finish, tuple(TokenLogprobs(-0.5, ()) for _ in ids))


def test_probabilities_come_with_the_text_that_their_tokens_complete() -> None:
    first, second = "bytes:\\xc3", "bytes:\\xa9"
    assert told([chunk("a"), chunk("é"), chunk("b", LENGTH)]) == [
        [("a", 0)],
        [(first, 1), (second, 1)],
        [("b", 2)],
    ]


def test_the_token_that_ends_the_generation_has_no_probability_to_show() -> None:
    assert told([chunk("a", STOP, (EOS,))]) == [[("a", 0)]]


def test_tokens_of_a_stop_string_are_told_up_to_the_last_that_is_counted() -> None:
    assert told([chunk("abcdef")], ["cd"]) == [[("a", 0), ("b", 1), ("c", 2), ("d", 3)]]


def test_a_generation_of_nothing_still_finishes() -> None:
    assert assembled([TokenChunk((), LENGTH)]) == [TextChunk("", 0, LENGTH)]


@pytest.mark.parametrize("finish", [STOP, LENGTH])
@given(ids=st.lists(st.integers(0, 257), max_size=30), data=st.data())
def test_text_and_count_do_not_depend_on_how_tokens_arrive(
    finish: FinishReason, ids: list[int], data: st.DataObject
) -> None:
    stops = data.draw(st.lists(st.text("ab�", min_size=1, max_size=3), max_size=2))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=5)))
    pieces = [tuple(ids[a:b]) for a, b in zip([0, *cuts], [*cuts, len(ids)], strict=True)]
    split = [*(TokenChunk(piece) for piece in pieces[:-1]), TokenChunk(pieces[-1], finish)]
    whole = assembled([TokenChunk(tuple(ids), finish)], stops)
    parts = assembled(split, stops)
    assert "".join(part.text for part in parts) == whole[0].text
    assert sum(part.tokens for part in parts) == whole[0].tokens
    assert parts[-1].finish == whole[0].finish
