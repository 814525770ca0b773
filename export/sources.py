"""Loads each kind of source for an export, and reads sources as references for a verification."""

from collections.abc import Callable, Collection
from pathlib import Path

from contract.manifest import Manifest
from export import lstm
from export.checkpoints import hub
from export.checkpoints.checkpoint import Checkpoint
from export.errors import SourceError
from export.hf.load import describe_checkpoint, load_checkpoint
from export.keras_hub.load import describe_preset, load_preset
from export.options import ExportOptions
from export.reference.transformer import TransformerReference
from export.saved_model.published import PublishedVersion
from export.signatures.servable import ExportedModel, Reference
from export.user_model.model import load_user_model

LOADERS: dict[str, Callable[[str, str, ExportOptions], ExportedModel]] = {
    "hf": lambda source, name, options: load_checkpoint(
        hub.directory(source, options.revision), name, options
    ),
    "keras-hub": lambda source, name, options: load_preset(Path(source), name, options),
    "lstm": lambda source, name, _: lstm.load(Path(source), name),
    "keras": lambda source, name, _: load_user_model(source, name),
}
"""By the kind on the command line: (source, name, options) -> a model that is ready to be written."""


def read_reference(source: str, version: PublishedVersion, ignored: Collection[str]) -> Reference:
    """Reads `source` as a reference for `version`, with the context length and dtype of that version.

    `source` is a checkpoint directory of any kind, or module:function for a user's model. `ignored` are
    unknown keys of the configuration to accept. Raises SourceError if the source cannot be read or has
    another vocabulary size.
    """
    manifest = version.manifest
    if ":" in source:
        return _user_reference(source, manifest)
    checkpoint = Checkpoint(Path(source))
    if checkpoint.config.get("model_type") == lstm.MODEL_TYPE:
        config = lstm.read_config(checkpoint)
        _check_vocabulary(source, config.vocab_size, manifest)
        return lstm.reference(config, lstm.read_weights(checkpoint, config))
    describe = describe_checkpoint if "model_type" in checkpoint.config else describe_preset
    described = describe(checkpoint, manifest.context_length, ignored)
    _check_vocabulary(source, described.model.vocabulary_size, manifest)
    rounded = version.dtypes and not version.quantized
    return TransformerReference(*described, version.dtypes[0] if rounded else "float32")


def _user_reference(source: str, manifest: Manifest) -> Reference:
    model = load_user_model(source, manifest.name)
    _check_vocabulary(source, model.manifest.vocabulary_size, manifest)
    if model.reference is None:
        raise SourceError(f"{source} returns a model without a reference")
    return model.reference


def _check_vocabulary(source: str, vocabulary_size: int, manifest: Manifest) -> None:
    if vocabulary_size != manifest.vocabulary_size:
        raise SourceError(
            f"{source} has a vocabulary of {vocabulary_size}, the servable one of {manifest.vocabulary_size}"
        )
