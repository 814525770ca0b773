"""The command line: `python -m export <kind> ...`; one line on stderr where it fails."""

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from contract.errors import ContractError
from export import arguments, memory, quiet, versions
from export.errors import ExportError, VersionError

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, and within the tolerance; 1 not; 2 wrong usage."""
    args = arguments.parser().parse_args(argv)
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("export").setLevel(logging.INFO)
    try:
        {"verify": verify, "inspect": inspect}.get(args.kind, export)(args)
    except (ExportError, ContractError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def export(args: argparse.Namespace) -> None:
    name = args.name or _default_name(args.source)
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise VersionError(f"{name!r} cannot be a model's name; letters, digits, '_', '-' and '.' can")
    _import_tensorflow()
    from export import hf, hub, keras, lstm, write
    from export import verify as verification
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
    target = write.write(servable, args.out, args.version, lambda path: verification.verify(path, servable))
    logger.info("published %s", target)


def verify(args: argparse.Namespace) -> None:
    directory = versions.find(args.servable)
    _import_tensorflow()
    from export import hub, references
    from export import verify as verification
    from export.published import Published

    version, reference = Published(directory), None
    if args.reference is not None:
        source = (
            args.reference if ":" in args.reference else str(hub.directory(args.reference, args.revision))
        )
        reference = references.read(source, version, args.ignore)
    asked = verification.Asked(args.tokens, args.max_error, args.max_kl)
    verified = verification.published(version, reference, asked)
    print(f"{directory}: {verified}")
    verified.check()


def inspect(args: argparse.Namespace) -> None:
    directory = versions.find(args.servable)
    _import_tensorflow()
    from export import report
    from export.published import Published

    print(report.report(Published(directory)))


def _import_tensorflow() -> None:
    """It takes seconds: not before the arguments are known to be good."""
    memory.before_tensorflow()
    quiet.import_tensorflow()


def _default_name(source: str) -> str:
    return source.rpartition(":")[2] if ":" in source else Path(source).resolve().name
