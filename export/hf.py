"""A checkpoint in Hugging Face's layout as a servable, whatever its family."""

import logging
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from contract.manifest import EXPLICIT
from export import language, layouts
from export.checkpoint import CONFIG, Checkpoint
from export.description import Transformer
from export.errors import SourceError, UnsupportedError
from export.families import FAMILIES
from export.servable import Servable
from export.settings import Settings
from export.source import Read, Sources

logger = logging.getLogger(__name__)


def load(
    directory: Path,
    name: str,
    dtype: str,
    layout: str = EXPLICIT,
    context: int | None = None,
    ignored: Collection[str] = (),
    block_size: int | None = None,
) -> Servable:
    """The servable that the checkpoint in `directory` becomes, for texts of up to `context` tokens.

    `context` and `block_size` (of the resident layout) are chosen where they are None. SourceError and its
    kinds for what cannot be read, or would not be computed as its makers compute it; keys of config.json in
    `ignored` are taken not to matter.
    """
    logger.info("reading %s", directory)
    checkpoint = Checkpoint(directory)
    model, sources, read = described(checkpoint, context, ignored)
    words = language.read(checkpoint, model.vocabulary_size)
    family = checkpoint.model_type(FAMILIES)
    return layouts.servable(name, family, model, sources, read, words, dtype, layout, block_size)


def described(
    checkpoint: Checkpoint, context: int | None = None, ignored: Collection[str] = ()
) -> tuple[Transformer, Sources, Read]:
    """The model, where its weights come from, and how the checkpoint is read."""
    family = FAMILIES[checkpoint.model_type(FAMILIES)]
    _refuse_quantized(checkpoint)
    settings = Settings(checkpoint.config, checkpoint.directory / CONFIG, ignored)
    model: Transformer = family.describe(settings, _context(family, settings, context))
    _check_heads(model)
    sources: Sources = family.sources(model, settings)
    settings.finish()
    needs = {name: shape for source in sources.values() for name, shape in source.needs.items()}
    not_weights = (*family.NOT_WEIGHTS, *(("lm_head.weight",) if model.tied else ()))
    return model, sources, checkpoint.tensors(needs, family.PREFIX, not_weights).read


def _refuse_quantized(checkpoint: Checkpoint) -> None:
    if how := checkpoint.config.get("quantization_config"):
        raise UnsupportedError(
            f"{checkpoint.directory / CONFIG}: the weights are quantized ({how!r}); "
            "export those that they were made from"
        )


def _check_heads(model: Transformer) -> None:
    for layer in model.layers:
        heads, kv_heads = layer.attention.heads, layer.attention.kv_heads
        if heads % kv_heads:
            raise SourceError(f"{heads} query heads cannot share {kv_heads} key heads evenly")


def _context(family: ModuleType, settings: Settings, asked: int | None) -> int:
    """As asked for; UnsupportedError where that is more than the checkpoint was made for."""
    most: int = family.context(settings)
    if asked is not None and not 1 <= asked <= most:
        raise UnsupportedError(f"context {asked} is not between 1 and the {most} tokens of the checkpoint")
    return asked or most
