"""Loads a KerasHub preset, as `save_to_preset` writes it. KerasHub need not be installed."""

import logging
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from export.assemble import assemble
from export.checkpoints.checkpoint import CONFIG, Checkpoint
from export.checkpoints.config_reader import ConfigReader
from export.errors import UnsupportedError
from export.keras_hub import BACKBONES, serialized
from export.keras_hub.language import read_language
from export.keras_hub.tensors import HEAD
from export.keras_hub.weight_files import WeightFiles
from export.options import ExportOptions
from export.signatures.servable import ExportedModel
from export.transformer_model.description import Transformer
from export.transformer_model.weight_source import DescribedModel, WeightSources

PREPROCESSOR = "preprocessor.json"
SEQUENCE_LENGTH = 1024
"""KerasHub's default of sequence_length."""

logger = logging.getLogger(__name__)


def load_preset(directory: Path, name: str, options: ExportOptions) -> ExportedModel:
    """Reads the preset in `directory` as a model that is ready to be written under `name`.

    Raises SourceError or a subclass when a file cannot be read, or when the servable would not compute what
    KerasHub computes.
    """
    logger.info("reading %s", directory)
    preset = Checkpoint(directory)
    backbone = serialized.class_name(preset, CONFIG, BACKBONES)
    described = describe_preset(preset, options.context, options.ignored)
    language = read_language(
        preset, backbone, described.model.vocabulary_size, options.tokenizer, options.ignored
    )
    family = BACKBONES[backbone].__name__.rpartition(".")[2]
    return assemble(name, family, described, language, options)


def describe_preset(
    preset: Checkpoint, context: int | None = None, ignored: Collection[str] = ()
) -> DescribedModel:
    """Describes the model in `preset`, with the sources of its weights.

    `context` is the context length in tokens, by default the preset's own; `ignored` are keys of the
    configuration that may be unknown. Raises as `load_preset` does.
    """
    backbone = BACKBONES[serialized.class_name(preset, CONFIG, BACKBONES)]
    config = serialized.read_config(preset, CONFIG, ignored)
    files = WeightFiles(preset)
    context = _context(preset, backbone, config, context)
    model: Transformer = backbone.describe(config, context, HEAD in files)
    sources: WeightSources = backbone.sources(model, config)
    config.finish()
    files.require({path: shape for source in sources.values() for path, shape in source.needs.items()})
    return DescribedModel(model, sources, files.read)


def _context(preset: Checkpoint, backbone: ModuleType, config: ConfigReader, requested: int | None) -> int:
    """Returns the context length: as requested, or the backbone's limit, or the preset's sequence_length."""
    limit: int | None = backbone.context(config)
    if requested is not None and (requested < 1 or (limit is not None and requested > limit)):
        allowed = "at least 1" if limit is None else f"between 1 and the {limit} tokens of the preset"
        raise UnsupportedError(f"context {requested} is not {allowed}")
    return requested or limit or _sequence_length(preset)


def _sequence_length(preset: Checkpoint) -> int:
    """Returns the length to which KerasHub pads and generates sequences by default, in tokens."""
    length = SEQUENCE_LENGTH
    if (preset.directory / PREPROCESSOR).exists():
        length = serialized.read_config(preset, PREPROCESSOR).size("sequence_length", SEQUENCE_LENGTH)
    logger.info("context: %d tokens, the preset's sequence_length; --context sets another", length)
    return length
