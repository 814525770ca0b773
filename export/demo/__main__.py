"""`python -m export.demo`: writes the corpus, trains the tokenizer and the demo models, and saves them."""

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tokenizers import Tokenizer

from export.demo import checkpoint, corpus, gpt, lstm, tokenization, training

SEED = 2048
DOCUMENTS = 8_000


@dataclass(frozen=True)
class Demo:
    """How one demo model is made."""

    begin: Callable[[tokenization.Ids], gpt.Gpt | lstm.Lstm]
    schedule: training.Schedule
    config: Mapping[str, Any]


DEMOS = {
    "tales-gpt": Demo(lambda _: gpt.Gpt(SEED), gpt.SCHEDULE, gpt.checkpoint_config()),
    "tales-lstm": Demo(lambda ids: lstm.Lstm(SEED, ids), lstm.SCHEDULE, lstm.checkpoint_config()),
}


def main() -> None:
    args = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tokenizer = tokenization.train(corpus.documents(SEED, DOCUMENTS))
    for name in args.only or DEMOS:
        checkpoint.write_tokenizer(args.out / name, tokenizer)
        _train(DEMOS[name], args.out / name, tokenizer)


def _train(demo: Demo, directory: Path, tokenizer: Tokenizer) -> None:
    tf.random.set_seed(SEED)
    model = demo.begin(_rows(tokenizer, SEED, demo.schedule.stages[0]))

    def keep(step: int) -> None:
        checkpoint.write(directory, demo.config, model.weights)
        logging.info("%s: saved after step %d", directory, step)

    batches = _batches(tokenizer, demo.schedule)
    loss = training.train(model.variables, model.loss, batches, demo.schedule, keep)
    logging.info("%s: last loss %.3f nats per token", directory, loss)


def _batches(tokenizer: Tokenizer, schedule: training.Schedule) -> Iterator[tokenization.Ids]:
    """Batches for all stages in order; no document is seen twice."""
    seed = SEED
    for stage in schedule.stages:
        left = stage.steps
        while left:
            seed += 1
            rows = _rows(tokenizer, seed, stage)
            count = min(left, len(rows) // stage.batch)
            yield from np.split(rows[: count * stage.batch], count)
            left -= count


def _rows(tokenizer: Tokenizer, seed: int, stage: training.Stage) -> tokenization.Ids:
    documents = list(corpus.documents(seed, DOCUMENTS, stage.turns))
    return tokenization.rows(tokenizer, documents, stage.length)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m export.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where the checkpoints go")
    parser.add_argument("--only", action="append", choices=sorted(DEMOS), help="train just this model")
    parser.add_argument("--threads", type=int, default=2, help="TensorFlow's threads")
    return parser.parse_args()


if __name__ == "__main__":
    main()
