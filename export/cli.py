"""The command line `python -m export KIND ...`. An error of the user's is one line on stderr."""

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
    """Runs a command; returns its exit status: 0 done and verified, 1 failed. Wrong usage exits with 2."""
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
    """Loads the source, writes it as a version, verifies that and publishes it."""
    name = args.name or _default_name(args.source)
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise VersionError(
            f"{name!r} cannot be a model's name: use letters, digits, '_', '-' and '.', not '.' first"
        )
    chosen = arguments.options(args)
    _import_tensorflow()
    from export.saved_model import write
    from export.sources import LOADERS
    from export.verification import verify as verification

    write.target_of(args.out / name, args.version)
    model = LOADERS[args.kind](args.source, name, chosen)
    options = verification.VerificationOptions(error=args.max_error, kl=args.max_kl)
    target = write.write(
        model, args.out, args.version, lambda path: verification.verify(path, model, options)
    )
    logger.info("published %s", target)


def verify(args: argparse.Namespace) -> None:
    """Verifies a published version and prints the report."""
    directory = versions.find(args.servable)
    _import_tensorflow()
    from export import sources
    from export.checkpoints import hub
    from export.saved_model.published import PublishedVersion
    from export.verification import verify as verification

    version, reference = PublishedVersion(directory), None
    if args.reference is not None:
        source = (
            args.reference if ":" in args.reference else str(hub.directory(args.reference, args.revision))
        )
        reference = sources.read_reference(source, version, args.ignore)
    options = verification.VerificationOptions(args.tokens, args.max_error, args.max_kl)
    report = verification.verify_version(version, reference, options)
    print(f"{directory}: {report}")
    report.check()


def inspect(args: argparse.Namespace) -> None:
    """Prints the manifest, sizes, memory and signatures of a published version."""
    directory = versions.find(args.servable)
    _import_tensorflow()
    from export.saved_model import inspection
    from export.saved_model.published import PublishedVersion

    print(inspection.report(PublishedVersion(directory)))


def _import_tensorflow() -> None:
    """Imports TensorFlow; this takes seconds, so the arguments are checked first."""
    if "tensorflow" not in sys.modules:
        logger.info("loading TensorFlow")
    runtime.prepare_memory()
    runtime.import_tensorflow()


def _default_name(source: str) -> str:
    return source.rpartition(":")[2] if ":" in source else Path(source).resolve().name
