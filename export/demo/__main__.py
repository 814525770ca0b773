"""`python -m export.demo`: writes the corpus, trains the tokenizer and the demo models, and saves them."""

import argparse
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from export.demo import checkpoint, corpus, gpt, lstm, optimize, tokenize

SEED = 2048
DOCUMENTS = 60_000
TOKENIZER_DOCUMENTS = 8_000


@dataclass(frozen=True)
class Demo:
    """How one demo model is made."""

    begin: Callable[[optimize.Ids], gpt.Gpt | lstm.Lstm]
    schedule: optimize.Schedule
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
    documents = list(corpus.documents(SEED, DOCUMENTS))
    tokenizer = tokenize.train(documents[:TOKENIZER_DOCUMENTS])
    ids = tokenize.stream(tokenizer, documents)
    logging.info("corpus: %d documents, %d tokens", len(documents), len(ids))
    for name in args.only or DEMOS:
        checkpoint.write_tokenizer(args.out / name, tokenizer)
        _train(DEMOS[name], args.out / name, ids)


def _train(demo: Demo, directory: Path, ids: optimize.Ids) -> None:
    tf.random.set_seed(SEED)
    model = demo.begin(ids)

    def keep(step: int) -> None:
        checkpoint.write(directory, demo.config, model.weights)
        logging.info("%s: saved after step %d", directory, step)

    loss = optimize.train(model.variables, model.loss, ids, demo.schedule, SEED, keep)
    logging.info("%s: last loss %.3f nats per token", directory, loss)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m export.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where the checkpoints go")
    parser.add_argument("--only", action="append", choices=sorted(DEMOS), help="train just this model")
    parser.add_argument("--threads", type=int, default=2, help="TensorFlow's threads")
    return parser.parse_args()


if __name__ == "__main__":
    main()
