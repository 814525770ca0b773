"""The demo models: their corpus, their training loop, and what is committed of them."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import jinja2
import numpy as np
import pytest
import tensorflow as tf
from tokenizers import Tokenizer

from export import lstm
from export.demo import checkpoint, corpus, tokenization, training
from export.hf.load import load_checkpoint
from export.options import ExportOptions
from export.signatures.servable import ExportedModel

DEMO = Path(__file__).parents[2] / "demo"
LOADERS: dict[str, Callable[[Path, str], ExportedModel]] = {
    "tales-gpt": lambda directory, name: load_checkpoint(directory, name, ExportOptions()),
    "tales-lstm": lstm.load,
}


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return list(corpus.documents(seed=1, count=400, turns=2))


@pytest.fixture(scope="module")
def tokenizer(documents: list[str]) -> Tokenizer:
    return tokenization.train(documents)


def test_a_seed_writes_the_same_corpus_again(documents: list[str]) -> None:
    assert documents == list(corpus.documents(seed=1, count=400, turns=2))
    assert documents != list(corpus.documents(seed=2, count=400, turns=2))


def test_a_scene_is_short_and_names_its_hero_again() -> None:
    scenes = list(corpus.documents(seed=1, count=200, turns=0))
    tales = list(corpus.documents(seed=1, count=200, turns=1))
    assert sum(map(len, scenes)) < sum(map(len, tales)) / 2
    heroes = [next(n for n in (*corpus.SHE_NAMES, *corpus.HE_NAMES) if n in scene) for scene in scenes]
    again = sum(scene.count(hero) > 1 for hero, scene in zip(heroes, scenes, strict=True))
    assert again > 100


def test_no_slot_of_the_grammar_stays_open(documents: list[str]) -> None:
    text = "".join(documents)
    assert "{" not in text
    assert "}" not in text


def test_every_tale_ends_and_every_request_has_its_tale(documents: list[str]) -> None:
    for document in documents:
        assert document.endswith(corpus.END)
        assert document.count(corpus.USER) == document.count(corpus.TALE) <= document.count(corpus.END)


def test_articles_fit_their_nouns(documents: list[str]) -> None:
    text = "".join(documents).lower()
    for wrong in (" a owl", " a otter", " an fox", " an goose"):
        assert wrong not in text


def test_a_talk_keeps_its_hero() -> None:
    document = corpus.document(random.Random(5), turns=2)
    first, second = (part.split(corpus.TALE)[1] for part in document.split(corpus.USER)[1:])
    names = [name for name in (*corpus.SHE_NAMES, *corpus.HE_NAMES) if name in first]
    assert any(name in second for name in names)


def test_special_tokens_have_the_first_ids_and_texts_survive(
    tokenizer: Tokenizer, documents: list[str]
) -> None:
    assert [tokenizer.token_to_id(token) for token in tokenization.SPECIAL_TOKENS] == [0, 1, 2]
    ids = tokenizer.encode(documents[0]).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == documents[0]


def test_rows_hold_one_document_each_and_nothing_after_it(tokenizer: Tokenizer, documents: list[str]) -> None:
    rows = tokenization.rows(tokenizer, documents[:5], 700)
    assert rows.shape == (5, 700)
    for i, row in enumerate(rows):
        text = tokenizer.decode(row[row != tokenization.NOTHING].tolist(), skip_special_tokens=False)
        assert text == (corpus.END if i % 3 == 0 else "") + documents[i]


def test_filling_is_no_part_of_the_loss() -> None:
    logits = tf.random.stateless_uniform([1, 3, 7], seed=(1, 2))
    short = training.cross_entropy(tf.constant([[1, 2, 3]]), logits[:, :2])
    filled = training.cross_entropy(tf.constant([[1, 2, 3, tokenization.NOTHING]]), logits)
    assert float(short) == pytest.approx(float(filled))


def test_the_optimizer_finds_a_minimum() -> None:
    variable = tf.Variable([3.0, -2.0])
    schedule = training.Schedule((training.Stage(200, 1, 1, 1),), peak=0.1, warmup=5)
    batches = [np.zeros((1, 1), np.int32)] * schedule.steps
    saved: list[int] = []
    loss = training.train(
        [variable], lambda _: tf.reduce_sum(tf.square(variable)), batches, schedule, saved.append, 100
    )
    assert loss < 0.1
    assert saved == [100, 200, 200]


def test_the_learning_rate_rises_to_its_peak_and_falls_to_its_floor() -> None:
    schedule = training.Schedule((training.Stage(1000, 1, 1, 1),), peak=1.0)
    rates = [schedule.rate(step) for step in range(1000)]
    assert max(rates) == rates[schedule.warmup] == 1.0
    assert rates[-1] == pytest.approx(schedule.floor, abs=1e-3)


def test_the_template_writes_a_talk_as_the_corpus_does() -> None:
    talk = [("user", "Tell me a story."), ("assistant", "It was."), ("user", "And then?")]
    messages = [{"role": role, "content": content} for role, content in talk]
    template = jinja2.Environment(autoescape=False).from_string(checkpoint.CHAT_TEMPLATE)
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|user|>Tell me a story.<|tale|>It was.<|endoftext|><|user|>And then?<|tale|>"
    )


@pytest.mark.parametrize("name", LOADERS)
def test_the_committed_checkpoints_are_read_by_the_exporters(name: str) -> None:
    servable = LOADERS[name](DEMO / name, name)
    assert servable.manifest.special_tokens.eos == (0,)
    assert servable.manifest.chat_template == checkpoint.CHAT_TEMPLATE
    assert servable.manifest.generation.temperature == 0.8
    assert servable.manifest.generation.max_tokens == 200


@pytest.mark.parametrize("name", LOADERS)
def test_the_committed_models_know_their_tales(name: str) -> None:
    servable = LOADERS[name](DEMO / name, name)
    assert servable.reference is not None
    tokenizer = Tokenizer.from_buffer(servable.tokenizer)
    losses = [
        _loss(servable.reference([ids])[0][:-1], ids[1:])
        for ids in (np.array(tokenizer.encode(text).ids) for text in corpus.documents(seed=0, count=8))
    ]
    assert np.mean(losses) < 0.6


def test_the_committed_weights_are_small() -> None:
    sizes = [path.stat().st_size for path in DEMO.glob("*/model.safetensors")]
    assert len(sizes) == 2
    assert sum(sizes) <= 8_000_000


def test_the_committed_configurations_are_what_the_script_writes() -> None:
    from export.demo import gpt, lstm

    for name, module in (("tales-gpt", gpt), ("tales-lstm", lstm)):
        assert json.loads((DEMO / name / "config.json").read_text()) == module.checkpoint_config()


def _loss(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean cross entropy in nats per token."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    likely = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-likely[np.arange(len(targets)), targets].mean())
