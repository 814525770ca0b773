"""Loads a checkpoint in Hugging Face's layout, of any supported family."""

import logging
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from export.assemble import assemble
from export.checkpoints.checkpoint import CONFIG, Checkpoint
from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError, UnsupportedError
from export.hf.families import FAMILIES
from export.language.read import read_language
from export.options import ExportOptions
from export.signatures.servable import ExportedModel
from export.transformer_model.description import Transformer
from export.transformer_model.weight_source import DescribedModel, WeightSources

logger = logging.getLogger(__name__)


def load_checkpoint(directory: Path, name: str, options: ExportOptions) -> ExportedModel:
    """Reads the checkpoint in `directory` as a model that is ready to be written under `name`.

    Raises SourceError or a subclass when a file cannot be read, or when the servable would not compute what
    the original model computes.
    """
    logger.info("reading %s", directory)
    checkpoint = Checkpoint(directory)
    described = describe_checkpoint(checkpoint, options.context, options.ignored)
    language = read_language(checkpoint, described.model.vocabulary_size)
    family = checkpoint.model_type(FAMILIES)
    return assemble(name, family, described, language, options)


def describe_checkpoint(
    checkpoint: Checkpoint, context: int | None = None, ignored: Collection[str] = ()
) -> DescribedModel:
    """Describes the model in `checkpoint`, with the sources of its weights.

    `context` is the context length in tokens, by default the checkpoint's own; `ignored` are keys of
    config.json that may be unknown. Raises as `load_checkpoint` does.
    """
    family = FAMILIES[checkpoint.model_type(FAMILIES)]
    _refuse_quantized(checkpoint)
    config = ConfigReader(checkpoint.config, checkpoint.directory / CONFIG, ignored)
    model: Transformer = family.describe(config, _context(family, config, context))
    _check_heads(model)
    sources: WeightSources = family.sources(model, config)
    config.finish()
    needs = {name: shape for source in sources.values() for name, shape in source.needs.items()}
    not_weights = (*family.NOT_WEIGHTS, *(("lm_head.weight",) if model.tied else ()))
    return DescribedModel(model, sources, checkpoint.tensors(needs, family.PREFIX, not_weights).read)


def _refuse_quantized(checkpoint: Checkpoint) -> None:
    if how := checkpoint.config.get("quantization_config"):
        raise UnsupportedError(
            f"{checkpoint.directory / CONFIG}: the weights are quantized ({how!r}); "
            "export the unquantized checkpoint instead"
        )


def _check_heads(model: Transformer) -> None:
    """Raises SourceError unless each key head serves the same number of query heads."""
    for layer in model.layers:
        heads, kv_heads = layer.attention.heads, layer.attention.kv_heads
        if heads % kv_heads:
            raise SourceError(f"{heads} query heads cannot share {kv_heads} key heads evenly")


def _context(family: ModuleType, config: ConfigReader, requested: int | None) -> int:
    """Returns the context length: as requested, or by default the checkpoint's own, which is the limit."""
    limit: int = family.context(config)
    if requested is not None and not 1 <= requested <= limit:
        raise UnsupportedError(
            f"context {requested} is not between 1 and the {limit} tokens of the checkpoint"
        )
    return requested or limit
