"""A KerasHub preset, as `save_to_preset` writes it, as a servable. KerasHub itself is not needed."""

import logging
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from export.assemble import assemble
from export.checkpoints.checkpoint import CONFIG, Checkpoint
from export.checkpoints.config_reader import ConfigReader
from export.errors import UnsupportedError
from export.keras_hub import BACKBONES, language, serialized
from export.keras_hub.tensors import HEAD
from export.keras_hub.weight_files import WeightFiles
from export.options import ExportOptions
from export.signatures.servable import ExportedModel
from export.transformer_model.description import Transformer
from export.transformer_model.weight_source import DescribedModel, WeightSources

PREPROCESSOR = "preprocessor.json"
PACKED = 1024
"""KerasHub's sequence_length where the preset has none."""

logger = logging.getLogger(__name__)


def load_preset(directory: Path, name: str, options: ExportOptions) -> ExportedModel:
    """Reads the preset in `directory` as a model that is ready to be written under `name`.

    Raises SourceError and its subclasses where a file cannot be read, or the model would not be computed
    as KerasHub computes it.
    """
    logger.info("reading %s", directory)
    preset = Checkpoint(directory)
    backbone = serialized.class_name(preset, CONFIG, BACKBONES)
    described = describe_preset(preset, options.context, options.ignored)
    words = language.read(
        preset, backbone, described.model.vocabulary_size, options.tokenizer, options.ignored
    )
    family = BACKBONES[backbone].__name__.rpartition(".")[2]
    return assemble(name, family, described, words, options)


def describe_preset(
    preset: Checkpoint, context: int | None = None, ignored: Collection[str] = ()
) -> DescribedModel:
    """Describes the model in `preset`, with the sources of its weights."""
    backbone = BACKBONES[serialized.class_name(preset, CONFIG, BACKBONES)]
    config = serialized.read_config(preset, CONFIG, ignored)
    files = WeightFiles(preset)
    context = _context(preset, backbone, config, context)
    model: Transformer = backbone.describe(config, context, HEAD in files)
    sources: WeightSources = backbone.sources(model, config)
    config.finish()
    files.require({path: shape for source in sources.values() for path, shape in source.needs.items()})
    return DescribedModel(model, sources, files.read)


def _context(preset: Checkpoint, backbone: ModuleType, config: ConfigReader, asked: int | None) -> int:
    """As asked for; else what the backbone is made for, or, where that has no end, what its makers pack."""
    most: int | None = backbone.context(config)
    if asked is not None and (asked < 1 or (most is not None and asked > most)):
        limit = "at least 1" if most is None else f"between 1 and the {most} tokens of the preset"
        raise UnsupportedError(f"context {asked} is not {limit}")
    return asked or most or _packed(preset)


def _packed(preset: Checkpoint) -> int:
    """Tokens of the texts that KerasHub packs, and generates, unless it is told otherwise."""
    path = preset.directory / PREPROCESSOR
    length = (
        serialized.read_config(preset, PREPROCESSOR).size("sequence_length", PACKED)
        if path.exists()
        else PACKED
    )
    logger.info("context: %d tokens, the preset's sequence_length; --context allows for more", length)
    return length
