"""A KerasHub preset, as `save_to_preset` writes it, as a servable. KerasHub itself is not needed."""

import logging
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from contract.manifest import EXPLICIT
from export import layouts
from export.checkpoint import CONFIG, Checkpoint
from export.description import Transformer
from export.errors import UnsupportedError
from export.keras_hub import BACKBONES, saved, words
from export.keras_hub.tensors import HEAD
from export.keras_hub.weight_files import WeightFiles
from export.servable import Servable
from export.settings import Settings
from export.source import Read, Sources

PREPROCESSOR = "preprocessor.json"
PACKED = 1024
"""KerasHub's sequence_length where the preset has none."""

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
    backbone = saved.class_name(preset, CONFIG, BACKBONES)
    model, sources, read = described(preset, context, ignored)
    spoken = words.read(preset, backbone, model.vocabulary_size, tokenizer, ignored)
    family = BACKBONES[backbone].__name__.rpartition(".")[2]
    return layouts.servable(name, family, model, sources, read, spoken, dtype, layout, block_size)


def described(
    preset: Checkpoint, context: int | None = None, ignored: Collection[str] = ()
) -> tuple[Transformer, Sources, Read]:
    """The model, where its weights come from, and how the preset is read."""
    backbone = BACKBONES[saved.class_name(preset, CONFIG, BACKBONES)]
    settings = saved.settings(preset, CONFIG, ignored)
    files = WeightFiles(preset)
    context = _context(preset, backbone, settings, context)
    model: Transformer = backbone.describe(settings, context, HEAD in files)
    sources: Sources = backbone.sources(model, settings)
    settings.finish()
    files.require({path: shape for source in sources.values() for path, shape in source.needs.items()})
    return model, sources, files.read


def _context(preset: Checkpoint, backbone: ModuleType, settings: Settings, asked: int | None) -> int:
    """As asked for; else what the backbone is made for, or, where that has no end, what its makers pack."""
    most: int | None = backbone.context(settings)
    if asked is not None and (asked < 1 or (most is not None and asked > most)):
        limit = "at least 1" if most is None else f"between 1 and the {most} tokens of the preset"
        raise UnsupportedError(f"context {asked} is not {limit}")
    return asked or most or _packed(preset)


def _packed(preset: Checkpoint) -> int:
    """Tokens of the texts that KerasHub packs, and generates, unless it is told otherwise."""
    path = preset.directory / PREPROCESSOR
    length = saved.settings(preset, PREPROCESSOR).size("sequence_length", PACKED) if path.exists() else PACKED
    logger.info("context: %d tokens, the preset's sequence_length; --context allows for more", length)
    return length
