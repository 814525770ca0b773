"""The command line: `python -m export <kind> <source> --out <base>`; one line on stderr where it fails."""

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from contract.errors import ContractError
from contract.manifest import EXPLICIT, RESIDENT, STATE_LAYOUTS
from export import quiet
from export.errors import ExportError, VersionError

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 published, 1 not, 2 wrong usage."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("export").setLevel(logging.INFO)
    try:
        export(args)
    except (ExportError, ContractError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def export(args: argparse.Namespace) -> Path:
    """The version directory that was published."""
    name = args.name or _default_name(args.source)
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise VersionError(f"{name!r} cannot be a model's name; letters, digits, '_', '-' and '.' can")
    # TensorFlow takes seconds to import: not before the arguments are known to be good.
    quiet.import_tensorflow()
    from export import hf, hub, keras, lstm, resident_verify, verify, write
    from export.keras_hub import load as keras_hub

    write.target_of(args.out / name, args.version)
    if args.kind == "keras":
        servable = keras.load(args.source, name)
    elif args.kind == "lstm":
        servable = lstm.load(Path(args.source), name)
    elif args.kind == "keras-hub":
        servable = keras_hub.load(
            Path(args.source), name, args.dtype, args.state, args.context, args.ignore, args.tokenizer
        )
    else:
        source = hub.directory(args.source, args.revision)
        servable = hf.load(source, name, args.dtype, args.state, args.context, args.ignore)
    check = verify.verify if args.state == EXPLICIT else resident_verify.verify
    target = write.write(servable, args.out, args.version, lambda path: check(path, servable))
    logger.info("published %s", target)
    return target


def _default_name(source: str) -> str:
    return source.rpartition(":")[2] if ":" in source else Path(source).resolve().name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description="Turn a model into a servable.")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="kind")
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
    return parser


def _kind(kinds, name: str, description: str, source: str) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=description, description=description)
    parser.add_argument("source", help=source)
    parser.add_argument("--out", type=Path, default=Path("models"), help="the base directory (models)")
    parser.add_argument("--name", help="the model's name; by default the source's")
    parser.add_argument("--version", type=int, help="by default the next free one")
    return parser


def _described(parser: argparse.ArgumentParser) -> None:
    """What can be chosen for any Transformer that is read from a configuration and weights."""
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the weights")
    parser.add_argument(
        "--state", choices=STATE_LAYOUTS, default=RESIDENT, help="where sessions' state lies (resident)"
    )
    parser.add_argument("--context", type=int, help="tokens of the longest text; by default the source's")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="KEY",
        help="a key of config.json that is not known and does not change the model's results",
    )
