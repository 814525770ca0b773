"""The arguments of the command line. Does not import TensorFlow, so that `--help` answers at once."""

import argparse
from pathlib import Path

from contract.manifest import EXPLICIT, RESIDENT, STATE_LAYOUTS
from export.options import FLOAT, INT8, ExportOptions
from export.verification.claims import INT8_KL, KL
from export.verification.prompts import TOKENS

DESCRIPTION = """\
Exports a model as a servable: a TensorFlow SavedModel that a model server loads. The servable is written
aside, verified against its source, and published as OUT/NAME/VERSION only if it passes. The commands `verify`
and `inspect` read a servable that was published before."""
EXAMPLE = "Example: python -m export hf demo/tales-gpt --out models --name tales-gpt"


def parser() -> argparse.ArgumentParser:
    """Builds the parser of `python -m export`, with a subparser for each kind of source or command."""
    made = argparse.ArgumentParser(prog="python -m export", description=DESCRIPTION, epilog=EXAMPLE)
    kinds = made.add_subparsers(
        dest="kind", required=True, metavar="KIND", help="`KIND --help` lists the options of each"
    )
    hf = _source(
        kinds,
        "hf",
        "export a Hugging Face checkpoint",
        "a checkpoint directory, or a repository id on the hub",
    )
    hf.add_argument("--revision", help="revision of the repository on the hub (default: its main branch)")
    _transformer(hf)
    keras_hub = _source(kinds, "keras-hub", "export a KerasHub CausalLM preset", "the preset's directory")
    keras_hub.add_argument(
        "--tokenizer", type=Path, help="a tokenizer.json to use instead of the preset's tokenizer"
    )
    _transformer(keras_hub)
    lstm = _source(
        kinds,
        "lstm",
        "export an LSTM checkpoint: an embedding, LSTM layers and a dense layer",
        "the checkpoint's directory, laid out as docs/contract.md says",
    )
    lstm.set_defaults(state=EXPLICIT)
    keras = _source(
        kinds,
        "keras",
        "export a Keras model of your own",
        "MODULE:FUNCTION; the function returns an export.keras.UserModel (see docs/keras.md)",
    )
    keras.set_defaults(state=EXPLICIT)
    _verify(_published(kinds, "verify", "verify a published servable against its source and against itself"))
    _published(kinds, "inspect", "print a servable's manifest, sizes, memory per session and signatures")
    return made


def _source(kinds, name: str, description: str, source: str) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    made = _subparser(kinds, name, description)
    made.add_argument("source", metavar="SOURCE", help=source)
    made.add_argument(
        "--out",
        type=Path,
        default=Path("models"),
        help="base directory of the servables (default: %(default)s)",
    )
    made.add_argument("--name", help="name of the model (default: the last part of SOURCE)")
    made.add_argument("--version", type=int, help="version number (default: the next free one)")
    _tolerance(made)
    return made


def _subparser(kinds, name: str, description: str) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    sentence = f"{description[0].upper()}{description[1:]}."
    made: argparse.ArgumentParser = kinds.add_parser(name, help=description, description=sentence)
    return made


def _transformer(made: argparse.ArgumentParser) -> None:
    """Adds the options of Transformers that are read from a configuration and weights."""
    made.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="dtype of weights, keys and values (default: %(default)s)",
    )
    made.add_argument(
        "--weights",
        choices=(FLOAT, INT8),
        default=FLOAT,
        help="int8: matrices, embedding and head as 8-bit integers; --dtype is then that of all else "
        "(default: %(default)s, as --dtype says)",
    )
    made.add_argument(
        "--keys-values",
        choices=(FLOAT, INT8),
        default=FLOAT,
        help="int8: keys and values in the pool (--state resident) as 8-bit integers, in half the memory of "
        "bfloat16 (default: %(default)s, as --dtype says)",
    )
    made.add_argument(
        "--state",
        choices=STATE_LAYOUTS,
        default=RESIDENT,
        help="where a session's state (its KV cache) lies: resident in the model server, or explicit, which "
        "is sent with each call (default: %(default)s)",
    )
    made.add_argument(
        "--context",
        type=int,
        metavar="TOKENS",
        help="longest sequence (default: the source's context length)",
    )
    _ignore(made)


def _ignore(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="KEY",
        help="accept this unknown key of config.json: it does not change the model's results (repeatable)",
    )


def _published(kinds, name: str, description: str) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    made = _subparser(kinds, name, description)
    made.add_argument(
        "servable",
        type=Path,
        metavar="SERVABLE",
        help="the model's directory BASE/NAME, for its latest version, or BASE/NAME/VERSION",
    )
    return made


def _verify(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--reference",
        metavar="SOURCE",
        help="the source of the export, to compare with (default: compare the servable only with itself)",
    )
    made.add_argument("--revision", help="revision of a reference on the hub (default: its main branch)")
    made.add_argument(
        "--tokens",
        type=_count,
        default=TOKENS,
        metavar="N",
        help="greedy tokens after each prompt (default: %(default)s)",
    )
    _tolerance(made)
    _ignore(made)


def _tolerance(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--max-error",
        type=_bound,
        metavar="E",
        help="largest absolute error of a logit or log-probability (default: 1e-4 plus a millionth of the "
        "largest one in float32; no limit in bfloat16 and with int8)",
    )
    made.add_argument(
        "--max-kl",
        type=_bound,
        metavar="K",
        help="largest mean Kullback-Leibler divergence of the probabilities, in nats "
        f"(default: {KL}; {INT8_KL} with int8)",
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return number


def _bound(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return number


def options(args: argparse.Namespace) -> ExportOptions:
    """Returns the options of an export; those that its kind does not take keep their defaults."""
    arguments = {
        "dtype": "dtype",
        "weights": "weights",
        "keys_values": "keys_values",
        "layout": "state",
        "context": "context",
        "ignored": "ignore",
        "tokenizer": "tokenizer",
        "revision": "revision",
    }
    return ExportOptions(
        **{option: getattr(args, name) for option, name in arguments.items() if hasattr(args, name)}
    )
