"""A checkpoint in Hugging Face's layout as a servable, whatever its family."""

import logging
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from contract.manifest import EXPLICIT, Manifest, Pool
from export import decode, explicit, language, pooled, resident
from export.checkpoint import CONFIG, Checkpoint
from export.description import Transformer
from export.errors import UnsupportedError
from export.families import FAMILIES
from export.fold import fold
from export.reference.transformer import Reference
from export.servable import Resident, Servable, Step
from export.settings import Settings
from export.source import Read, Sources
from export.weights import variables

DTYPES = ("float32", "bfloat16")

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
    step, pool = _laid_out(model, sources, read, dtype, layout, block_size)
    manifest = Manifest(
        name=name,
        family=checkpoint.model_type(FAMILIES),
        vocabulary_size=model.vocabulary_size,
        context_length=model.context_length,
        state_layout=layout,
        state=explicit.state(model, dtype) if layout == EXPLICIT else (),
        pool=pool,
        decode_steps=decode.MAX_STEPS if layout == EXPLICIT else 0,
        special_tokens=words.special_tokens,
        generation=words.generation,
        chat_template=words.chat_template,
    )
    return Servable(
        manifest, words.tokenizer, step, Reference(model, sources, read, dtype), dtype == "float32"
    )


def described(
    checkpoint: Checkpoint, context: int | None = None, ignored: Collection[str] = ()
) -> tuple[Transformer, Sources, Read]:
    """The model, where its weights come from, and how the checkpoint is read."""
    family = FAMILIES[checkpoint.model_type(FAMILIES)]
    settings = Settings(checkpoint.config, checkpoint.directory / CONFIG, ignored)
    model: Transformer = family.describe(settings, _context(family, settings, context))
    sources: Sources = family.sources(model, settings)
    settings.finish()
    needs = {name: shape for source in sources.values() for name, shape in source.needs.items()}
    not_weights = (*family.NOT_WEIGHTS, *(("lm_head.weight",) if model.tied else ()))
    return model, sources, checkpoint.tensors(needs, family.PREFIX, not_weights).read


def _context(family: ModuleType, settings: Settings, asked: int | None) -> int:
    """As asked for; UnsupportedError where that is more than the checkpoint was made for."""
    most: int = family.context(settings)
    if asked is not None and not 1 <= asked <= most:
        raise UnsupportedError(f"context {asked} is not between 1 and the {most} tokens of the checkpoint")
    return asked or most


def _laid_out(
    model: Transformer, sources: Sources, read: Read, dtype: str, layout: str, block_size: int | None
) -> tuple[Step | Resident, Pool | None]:
    model, sources = fold(model, sources)
    weights = variables(sources, read, dtype)
    if layout == EXPLICIT:
        return explicit.step(model, weights), None
    step = pooled.resident(model, weights, dtype, block_size)
    return step, resident.describe(step)
