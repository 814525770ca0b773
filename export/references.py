"""What a published servable is held against: the source that it was made from, or should be equal to."""

from collections.abc import Collection
from pathlib import Path

from contract.manifest import Manifest
from export import hf, keras, lstm
from export.checkpoint import Checkpoint
from export.errors import SourceError
from export.keras_hub import load as keras_hub
from export.published import Published
from export.reference.transformer import Reference as TransformerReference
from export.servable import Reference


def read(source: str, version: Published, ignored: Collection[str]) -> Reference:
    """What `source` is as a reference for `version`: for its context, and weights of its dtype.

    A checkpoint directory of any kind, or, for a user's model, module:function. SourceError where it cannot
    be read, or is of another shape.
    """
    manifest = version.manifest
    if ":" in source:
        servable = keras.load(source, manifest.name)
        _check(source, servable.manifest.vocabulary_size, manifest)
        if servable.reference is None:
            raise SourceError(f"{source} gives no reference")
        return servable.reference
    checkpoint = Checkpoint(Path(source))
    if checkpoint.config.get("model_type") == lstm.MODEL_TYPE:
        config = lstm.read_config(checkpoint)
        _check(source, config.vocab_size, manifest)
        return lstm.reference(config, lstm.read_weights(checkpoint, config))
    family = hf if "model_type" in checkpoint.config else keras_hub
    model, sources, read_tensor = family.described(checkpoint, manifest.context_length, ignored)
    _check(source, model.vocabulary_size, manifest)
    dtype = version.dtypes[0] if version.dtypes else "float32"
    return TransformerReference(model, sources, read_tensor, dtype)


def _check(source: str, vocabulary_size: int, manifest: Manifest) -> None:
    if vocabulary_size != manifest.vocabulary_size:
        raise SourceError(
            f"{source} has a vocabulary of {vocabulary_size}, the servable one of {manifest.vocabulary_size}"
        )
