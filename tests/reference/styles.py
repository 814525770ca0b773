"""Small tokenizers in the styles of published ones, trained on the corpus: what `language.py` writes.

Everything else in their directories is written by hand. Needs the tokenizers library alone.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from tests.reference.texts import CORPUS

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
ENGLISH = [
    "The quick brown fox jumps over the lazy dog, and then the dog jumps over the fox.",
    "user assistant system You are a helpful assistant. Today is a good day to say what it was.",
    "return the answer of the question, where there is one, or say that there is none of it",
] * 4
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
SPACES = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def gpt2() -> Tokenizer:
    tokenizer = _byte_level(360, ["<|endoftext|>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def llama3() -> Tokenizer:
    """Whole pieces of the vocabulary count before merges, and there is one that no merge makes."""
    tokenizer = _byte_level(400, [], ["Ġzebra", "wordword"], ignore_merges=True, split=r"\p{N}{1,3}")
    names = ("begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id")
    tokenizer.add_special_tokens([f"<|{name}|>" for name in names])
    begin = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{begin[0]} $A", special_tokens=[begin]),
        ]
    )
    return tokenizer


def qwen() -> Tokenizer:
    tokenizer = _byte_level(400, [], split=r"\p{N}")
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>")])
    return tokenizer


def smollm() -> Tokenizer:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = _byte_level(380, specials)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.add_special_tokens(specials)
    return tokenizer


def llama2() -> Tokenizer:
    tokenizer = _byte_fallback(["<unk>", "<s>", "</s>"], prefix=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    return _begun(tokenizer, "<s>")


def mistral() -> Tokenizer:
    """As `llama2` in the older way, which puts a space before every part between special tokens."""
    tokenizer = _byte_fallback(["<unk>", "<s>", "</s>"], prefix=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return _begun(tokenizer, "<s>")


def phi() -> Tokenizer:
    """Only tokenizer_config.json lists some of its tokens, and take the white space after them."""
    tokenizer = _byte_fallback(["<unk>", "<s>", "</s>"], prefix=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", rstrip=True) for name in ("endoftext", "end")])
    return tokenizer


def gemma() -> Tokenizer:
    """Runs of white space are tokens that were added, and not special."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = _byte_fallback(specials, prefix=False)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.add_tokens([AddedToken(run, normalized=False) for run in ("\n\n", "\n\n\n", "▁▁", "▁▁▁▁")])
    return _begun(tokenizer, "<bos>")


def unigram() -> Tokenizer:
    """With what training leaves in a file: cutting and padding."""
    spaced = Tokenizer(models.Unigram())
    spaced.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    spaced.train_from_iterator([text for text in _training() if text.isascii()], trainer)
    pieces = sorted(_scores(spaced), key=lambda piece: (-piece[1], piece[0]))
    known = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary = known + [(text, -20.0) for text in BYTES] + pieces
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = spaced.pre_tokenizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace("▁", prepend_scheme="always")]
    )
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.add_tokens([AddedToken("word", single_word=True, lstrip=True)])
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16, pad_id=0, pad_token="<pad>")
    return tokenizer


STYLES: dict[str, Callable[[], Tokenizer]] = {
    style.__name__: style for style in (gpt2, llama3, qwen, smollm, llama2, mistral, phi, gemma, unigram)
}


def _training() -> list[str]:
    return [*CORPUS, *ENGLISH]


def _scores(tokenizer: Tokenizer) -> list[tuple[str, float]]:
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    return [(text, round(score, 4)) for text, score in vocabulary[3:]]


def _byte_level(
    size: int,
    first: list[str],
    last: Iterable[str] = (),
    ignore_merges: bool = False,
    split: str = r"\p{N}{1,3}",
) -> Tokenizer:
    """`first` and `last` stand at the ends of the vocabulary; no merge makes them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS + split + SPACES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(first),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_training(), trainer)
    vocabulary, merges = _bpe(tokenizer)
    texts = [*first, *vocabulary, *last]
    model = models.BPE({text: i for i, text in enumerate(texts)}, merges, ignore_merges=ignore_merges)
    built = Tokenizer(model)
    built.pre_tokenizer = tokenizer.pre_tokenizer
    built.decoder = decoders.ByteLevel()
    return built


def _byte_fallback(specials: list[str], prefix: bool) -> Tokenizer:
    """Few characters, whose words begin with a mark for the space; all others are bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁")
    counts = Counter("".join(_training()).replace(" ", "▁"))
    common = sorted(counts, key=lambda character: (-counts[character], character))[:70]
    trainer = trainers.BpeTrainer(
        vocab_size=160, limit_alphabet=70, initial_alphabet=common, show_progress=False
    )
    tokenizer.train_from_iterator(_training(), trainer)
    vocabulary, merges = _bpe(tokenizer)
    texts = [*specials, *BYTES, *vocabulary]
    model = models.BPE(
        {text: i for i, text in enumerate(texts)},
        merges,
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    built = Tokenizer(model)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    built.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    built.add_special_tokens(specials)
    return built


def _bpe(tokenizer: Tokenizer) -> tuple[list[str], list[tuple[str, str]]]:
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [tuple(merge) for merge in model["merges"]]


def _begun(tokenizer: Tokenizer, token: str) -> Tokenizer:
    """With `token` before every text."""
    known = [(token, tokenizer.token_to_id(token))]
    tokenizer.post_processor = processors.TemplateProcessing(
        f"{token} $A", f"{token} $A {token}:1 $B:1", special_tokens=known
    )
    return tokenizer
