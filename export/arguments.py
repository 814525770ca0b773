"""What the command line takes; without TensorFlow, which takes seconds to import."""

import argparse
from pathlib import Path

from contract.manifest import EXPLICIT, RESIDENT, STATE_LAYOUTS
from export.options import ExportOptions
from export.verification.figures import KL
from export.verification.trials import TOKENS


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m export", description="Turn a model into a servable, or look at one."
    )
    kinds = made.add_subparsers(dest="kind", required=True, metavar="kind")
    hf = _kind(kinds, "hf", "a checkpoint in Hugging Face's layout", "its directory, or its id on the hub")
    hf.add_argument("--revision", help="of the repository on the hub; by default its main branch")
    _described(hf)
    keras_hub = _kind(kinds, "keras-hub", "a preset of KerasHub's CausalLM", "the preset's directory")
    keras_hub.add_argument(
        "--tokenizer", type=Path, help="a tokenizer.json, instead of the preset's tokenizer"
    )
    _described(keras_hub)
    lstm = _kind(kinds, "lstm", "embedding, LSTM layers and a dense layer", "the checkpoint's directory")
    lstm.set_defaults(state=EXPLICIT)
    keras = _kind(kinds, "keras", "your own model", "module:function that returns an export.keras.UserModel")
    keras.set_defaults(state=EXPLICIT)
    _verify(_published(kinds, "verify", "hold a servable against its source, and against itself"))
    _published(kinds, "inspect", "what a servable says of itself, its sizes, and the memory of a session")
    return made


def _kind(kinds, name: str, description: str, source: str) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    made: argparse.ArgumentParser = kinds.add_parser(name, help=description, description=description)
    made.add_argument("source", help=source)
    made.add_argument("--out", type=Path, default=Path("models"), help="the base directory (models)")
    made.add_argument("--name", help="the model's name; by default the source's")
    made.add_argument("--version", type=int, help="by default the next free one")
    _tolerance(made)
    return made


def _described(made: argparse.ArgumentParser) -> None:
    """What can be chosen for any Transformer that is read from a configuration and weights."""
    made.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the weights")
    made.add_argument(
        "--state", choices=STATE_LAYOUTS, default=RESIDENT, help="where sessions' state lies (resident)"
    )
    made.add_argument("--context", type=int, help="tokens of the longest text; by default the source's")
    _ignore(made)


def _ignore(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="KEY",
        help="a key of config.json that is not known and does not change the model's results",
    )


def _published(kinds, name: str, description: str) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    made: argparse.ArgumentParser = kinds.add_parser(name, help=description, description=description)
    made.add_argument(
        "servable", type=Path, help="BASE/NAME, of which the latest version, or BASE/NAME/VERSION"
    )
    return made


def _verify(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--reference",
        metavar="SOURCE",
        help="what it was made from; by default it is held against itself alone",
    )
    made.add_argument("--revision", help="of a reference on the hub; by default its main branch")
    made.add_argument(
        "--tokens",
        type=_count,
        default=TOKENS,
        metavar="N",
        help="greedy tokens after each prompt (%(default)s)",
    )
    _tolerance(made)
    _ignore(made)


def _tolerance(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--max-error",
        type=_bound,
        metavar="E",
        help="allowed of logits (float32: 1e-4 and a millionth of the largest; bfloat16: any)",
    )
    made.add_argument(
        "--max-kl",
        type=_bound,
        default=KL,
        metavar="K",
        help="allowed divergence of probabilities, mean, in nats (%(default)s)",
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def _bound(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def options(args: argparse.Namespace) -> ExportOptions:
    """Returns the options that were given, for the kinds that take any."""
    given = {
        "dtype": "dtype",
        "layout": "state",
        "context": "context",
        "ignored": "ignore",
        "tokenizer": "tokenizer",
        "revision": "revision",
    }
    return ExportOptions(**{name: getattr(args, arg) for name, arg in given.items() if hasattr(args, arg)})
