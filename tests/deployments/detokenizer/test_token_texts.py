"""Single tokens as the API shows them."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from deployments.detokenizer.token_texts import MIN_LOGPROB, TokenTexts
from deployments.messages import TokenText
from tests.deployments.fakes import EOS, byte_tokenizer


def test_a_token_is_its_text_and_the_bytes_of_it() -> None:
    assert TokenTexts(byte_tokenizer()).of(97, -0.5) == TokenText("a", b"a", -0.5)


def test_a_part_of_a_character_is_shown_as_its_bytes() -> None:
    assert TokenTexts(byte_tokenizer()).of(0xC3, -0.5) == TokenText("bytes:\\xc3", b"\xc3", -0.5)


def test_special_tokens_are_shown_by_name() -> None:
    assert TokenTexts(byte_tokenizer()).of(EOS, -0.5).text == "<eos>"


def test_an_impossible_token_has_a_probability_that_json_can_hold() -> None:
    assert TokenTexts(byte_tokenizer()).of(97, float("-inf")).logprob == MIN_LOGPROB


def test_white_space_that_begins_a_word_is_shown() -> None:
    """A decoder of this kind drops the white space before the first word of a text."""
    tokenizer = Tokenizer(models.WordLevel({"▁the": 0, "▁a": 1}, unk_token="▁a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    assert TokenTexts(tokenizer).of(0, -0.5) == TokenText(" the", b" the", -0.5)


def test_tokens_of_bytes_in_other_vocabularies_are_understood() -> None:
    tokenizer = Tokenizer(models.BPE({"<0xC3>": 0, "<0xA9>": 1}, []))
    tokenizer.decoder = decoders.ByteFallback()
    assert TokenTexts(tokenizer).of(0, -0.5) == TokenText("bytes:\\xc3", b"\xc3", -0.5)
