"""The command line: `python -m export <kind> ...`; one line on stderr where it fails."""

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from contract.errors import ContractError
from export import arguments, runtime
from export.errors import ExportError, VersionError
from export.saved_model import versions

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
    from export.saved_model import write
    from export.sources import LOADERS
    from export.verification import verify as verification

    write.target_of(args.out / name, args.version)
    servable = LOADERS[args.kind](args.source, name, arguments.options(args))
    target = write.write(servable, args.out, args.version, lambda path: verification.verify(path, servable))
    logger.info("published %s", target)


def verify(args: argparse.Namespace) -> None:
    directory = versions.find(args.servable)
    _import_tensorflow()
    from export import sources
    from export.checkpoints import hub
    from export.saved_model.published import Published
    from export.verification import verify as verification

    version, reference = Published(directory), None
    if args.reference is not None:
        source = (
            args.reference if ":" in args.reference else str(hub.directory(args.reference, args.revision))
        )
        reference = sources.read_reference(source, version, args.ignore)
    asked = verification.Asked(args.tokens, args.max_error, args.max_kl)
    verified = verification.published(version, reference, asked)
    print(f"{directory}: {verified}")
    verified.check()


def inspect(args: argparse.Namespace) -> None:
    directory = versions.find(args.servable)
    _import_tensorflow()
    from export.saved_model import inspection
    from export.saved_model.published import Published

    print(inspection.report(Published(directory)))


def _import_tensorflow() -> None:
    """It takes seconds: not before the arguments are known to be good."""
    runtime.before_tensorflow()
    runtime.import_tensorflow()


def _default_name(source: str) -> str:
    return source.rpartition(":")[2] if ":" in source else Path(source).resolve().name
