"""The tokenizers of `keras_hub.py`: trained small, and what KerasHub's classes make of some lines."""

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from tokenizers import Tokenizer, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models

TEXT = (
    "The quick brown fox jumps over the lazy dog, isn't it? We'll see in 2023 or 12345!",
    "Größe und Übermut: die Straße führt über den Fluß.",
    "Ещё один пример русского текста — «цитата».",
    "日本語の文章です。東京は大きい。",
    "مرحبا بالعالم",
    "def f(x):\n    return x + 1\n\n\nprint(f(2))",
    "it's five o'clock, they've gone",
) * 3

LINES = (
    *TEXT[:7],
    "",
    "Hello 世界! Привет мир. नमस्ते दुनिया",
    "emoji 👩‍👩‍👧 and 🎉!!",
    "tabs\tand\r\nline ends\n\n",
    "naïve café — “quotes” … ①②③ ﬁne",
)
SPACED = ("  leading and trailing  ", "x  y   z    w", " ", "\n\n \n", "▁under_line", "a\u00a0b\u3000c")
"""Where KerasHub's byte-level tokenizers divide texts in other ways than the models' makers."""

IDENTITY = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
GEMMA_IDS = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3}
GEMMA_PIECES = {"pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>"}
GEMMA_OWN = ["<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "▁▁", "▁▁▁"]
PIECES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaTokenizer", {"model_type": "bpe", "byte_fallback": True, "vocab_size": 380, **IDENTITY}),
    "gemma": (
        "GemmaTokenizer",
        {
            "model_type": "bpe",
            "byte_fallback": True,
            "vocab_size": 390,
            "add_dummy_prefix": False,
            **IDENTITY | GEMMA_IDS | GEMMA_PIECES,
            "user_defined_symbols": GEMMA_OWN,
        },
    ),
    "unigram": ("MistralTokenizer", {"model_type": "unigram", "vocab_size": 140, "hard_vocab_limit": False}),
}
RULES = "FB01\t66 69\n2460\t31\n2026\t2E 2E 2E\n3000\t20\nA0\t20\n"
"""How the last writes letters: ligatures apart, and so on."""

LLAMA3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
BYTE_PAIRS = {"gpt2": ("GPT2Tokenizer", ["<|endoftext|>"]), "llama3": ("Llama3Tokenizer", LLAMA3)}


def write(classes: Any, base: Path) -> None:
    for name, (kind, options) in PIECES.items():
        save(getattr(classes, kind)(_pieces(options, name == "unigram")), base / name)
    for name, (kind, special) in BYTE_PAIRS.items():
        vocabulary, merges = _byte_pairs(special)
        save(getattr(classes, kind)(vocabulary=vocabulary, merges=merges), base / name)
    for name in (*PIECES, *BYTE_PAIRS):
        (base / name / "lines.json").write_text(json.dumps(_said(classes, base / name), ensure_ascii=False))


def check(classes: Any, base: Path) -> None:
    for name in (*PIECES, *BYTE_PAIRS):
        said = json.loads((base / name / "lines.json").read_text())
        assert said == _said(classes, base / name), f"{name}: lines.json differs"


def save(tokenizer: Any, directory: Path) -> None:
    tokenizer.save_to_preset(str(directory))
    # Sets have no order.
    path = directory / "tokenizer.json"
    saved = json.loads(path.read_text())
    if "unsplittable_tokens" in saved["config"]:
        saved["config"]["unsplittable_tokens"].sort()
    path.write_text(json.dumps(saved, indent=1) + "\n")


def _said(classes: Any, directory: Path) -> list[tuple[str, list[int]]]:
    """Lines and their ids."""
    saved = json.loads((directory / "tokenizer.json").read_text())
    kind, assets = getattr(classes, saved["class_name"]), directory / "assets/tokenizer"
    if (assets / "vocabulary.spm").exists():
        tokenizer, lines = kind((assets / "vocabulary.spm").read_bytes()), LINES + SPACED
    else:
        # As in a tf.data pipeline: else texts are not divided at all before they are merged.
        files = {"vocabulary": str(assets / "vocabulary.json"), "merges": str(assets / "merges.txt")}
        tokenizer, lines = kind(**files, _allow_python_workflow=False), LINES
    return [[line, np.array(tokenizer(line)).tolist()] for line in lines]


def _pieces(options: dict[str, Any], own_rules: bool) -> bytes:
    written = io.BytesIO()
    # A model remembers the path of its rules: let it be a mere name.
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        if own_rules:
            Path("rules.tsv").write_text(RULES)
            options = options | {"normalization_rule_tsv": "rules.tsv"}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXT), model_writer=written, minloglevel=2, num_threads=1, **options
        )
    return written.getvalue()


def _byte_pairs(special: list[str]) -> tuple[dict[str, int], list[str]]:
    tokenizer = Tokenizer(tokenizer_models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=390, initial_alphabet=alphabet, special_tokens=special)
    tokenizer.train_from_iterator(TEXT, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [" ".join(pair) for pair in model["merges"]]
