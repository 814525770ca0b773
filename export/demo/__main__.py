"""`python -m export.demo`: generates the corpus, trains the tokenizer and the demo models, and saves them."""

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tokenizers import Tokenizer

from contract.tensors import Ids
from export.demo import checkpoint, corpus, gpt, lstm, tokenization, training

SEED = 2048
DOCUMENTS = 8_000


@dataclass(frozen=True)
class DemoModel:
    """How a demo model is made: its initial weights, its training and its `config.json`."""

    initialize: Callable[[Ids], gpt.Gpt | lstm.Lstm]
    schedule: training.Schedule
    config: Mapping[str, Any]


DEMOS = {
    "tales-gpt": DemoModel(lambda _: gpt.Gpt(SEED), gpt.SCHEDULE, gpt.checkpoint_config()),
    "tales-lstm": DemoModel(lambda ids: lstm.Lstm(SEED, ids), lstm.SCHEDULE, lstm.checkpoint_config()),
}


def main() -> None:
    """Trains all demo models, or those of `--only`, with one tokenizer."""
    args = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tokenizer = tokenization.train(corpus.documents(SEED, DOCUMENTS))
    for name in args.only or DEMOS:
        checkpoint.write_tokenizer(args.out / name, tokenizer)
        _train(DEMOS[name], args.out / name, tokenizer)


def _train(demo: DemoModel, directory: Path, tokenizer: Tokenizer) -> None:
    tf.random.set_seed(SEED)
    model = demo.initialize(_rows(tokenizer, SEED, demo.schedule.stages[0]))

    def keep(step: int) -> None:
        checkpoint.write(directory, demo.config, model.weights)
        logging.info("%s: saved after step %d", directory, step)

    batches = _batches(tokenizer, demo.schedule)
    loss = training.train(model.variables, model.loss, batches, demo.schedule, keep)
    logging.info("%s: last loss %.3f nats per token", directory, loss)


def _batches(tokenizer: Tokenizer, schedule: training.Schedule) -> Iterator[Ids]:
    """Yields the batches (batch, length) of all stages in order, each document once."""
    seed = SEED
    for stage in schedule.stages:
        steps_left = stage.steps
        while steps_left:
            seed += 1
            rows = _rows(tokenizer, seed, stage)
            count = min(steps_left, len(rows) // stage.batch)
            yield from np.split(rows[: count * stage.batch], count)
            steps_left -= count


def _rows(tokenizer: Tokenizer, seed: int, stage: training.Stage) -> Ids:
    documents = list(corpus.documents(seed, DOCUMENTS, stage.turns))
    return tokenization.rows(tokenizer, documents, stage.length)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m export.demo",
        description="Generate the corpus, train the tokenizer and the demo models, and save them.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="directory of the checkpoints (default: %(default)s)"
    )
    parser.add_argument(
        "--only", action="append", choices=sorted(DEMOS), help="train only this model (repeatable)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of TensorFlow (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
