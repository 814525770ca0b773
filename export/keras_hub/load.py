"""A KerasHub preset, as `save_to_preset` writes it, as a servable. KerasHub itself is not needed."""

import logging
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from contract.manifest import EXPLICIT
from export import layouts
from export.checkpoint import CONFIG, Checkpoint
from export.description import Transformer
from export.errors import SourceError, UnsupportedError
from export.keras_hub import BACKBONES, words
from export.keras_hub.tensors import HEAD
from export.keras_hub.weight_files import WeightFiles
from export.servable import Servable
from export.settings import Settings
from export.source import Read, Sources

PREPROCESSOR = "preprocessor.json"

logger = logging.getLogger(__name__)


def load(
    directory: Path,
    name: str,
    dtype: str,
    layout: str = EXPLICIT,
    context: int | None = None,
    ignored: Collection[str] = (),
    tokenizer: Path | None = None,
    block_size: int | None = None,
) -> Servable:
    """The servable that the preset in `directory` becomes, for texts of up to `context` tokens.

    `context` and `block_size` (of the resident layout) are chosen where they are None. `tokenizer`, a
    tokenizer.json, counts before the preset's own. SourceError and its kinds for what cannot be read, or
    would not be computed as KerasHub computes it; settings in `ignored` are taken not to matter.
    """
    logger.info("reading %s", directory)
    preset = Checkpoint(directory)
    backbone = _backbone(preset)
    model, sources, read = described(preset, context, ignored)
    spoken = words.read(preset, backbone, model.vocabulary_size, tokenizer)
    family = BACKBONES[backbone].__name__.rpartition(".")[2]
    return layouts.servable(name, family, model, sources, read, spoken, dtype, layout, block_size)


def described(
    preset: Checkpoint, context: int | None = None, ignored: Collection[str] = ()
) -> tuple[Transformer, Sources, Read]:
    """The model, where its weights come from, and how the preset is read."""
    backbone = BACKBONES[_backbone(preset)]
    settings = Settings(_settings(preset, CONFIG), preset.directory / CONFIG, ignored)
    settings.unused("name", "trainable", "dtype", "dropout")
    files = WeightFiles(preset)
    context = _context(preset, backbone, settings, context)
    model: Transformer = backbone.describe(settings, context, HEAD in files)
    sources: Sources = backbone.sources(model, settings)
    settings.finish()
    files.require({path: shape for source in sources.values() for path, shape in source.needs.items()})
    return model, sources, files.read


def _backbone(preset: Checkpoint) -> str:
    """The name of its class; UnsupportedError for another than those that are read."""
    name = preset.config.get("class_name")
    if name not in BACKBONES:
        raise UnsupportedError(
            f"{preset.directory / CONFIG}: class_name {name!r} is not supported; "
            f"supported are {', '.join(BACKBONES)}"
        )
    return str(name)


def _settings(preset: Checkpoint, file: str) -> dict[str, object]:
    """Of the object that Keras wrote into a file."""
    settings = preset.json(file).get("config")
    if not isinstance(settings, dict):
        raise SourceError(f"{preset.directory / file} has no config")
    return settings


def _context(preset: Checkpoint, backbone: ModuleType, settings: Settings, asked: int | None) -> int:
    """As asked for; else what the backbone is made for, or, where that has no end, what its makers pack."""
    most: int | None = backbone.context(settings)
    if asked is not None and (asked < 1 or (most is not None and asked > most)):
        limit = "at least 1" if most is None else f"between 1 and the {most} tokens of the preset"
        raise UnsupportedError(f"context {asked} is not {limit}")
    return asked or most or _packed(preset)


def _packed(preset: Checkpoint) -> int:
    if not (preset.directory / PREPROCESSOR).exists():
        raise SourceError(
            f"{preset.directory / PREPROCESSOR} is missing, which says how long texts are; give --context"
        )
    path = preset.directory / PREPROCESSOR
    length = Settings(_settings(preset, PREPROCESSOR), path).size("sequence_length", 1024)
    logger.info("context: %d tokens, the preset's sequence_length; --context allows for more", length)
    return length
