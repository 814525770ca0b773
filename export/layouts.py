"""A described model as a servable, in either layout. Knows not where it was described."""

import tensorflow as tf

from contract.manifest import EXPLICIT, Manifest, Pool
from export import decode, explicit, pooled, resident
from export.description import Transformer
from export.fold import fold
from export.language import Language
from export.reference.transformer import Reference
from export.servable import Resident, Servable, Step
from export.source import Read, Sources
from export.weights import variables


def servable(
    name: str,
    family: str,
    model: Transformer,
    sources: Sources,
    read: Read,
    words: Language,
    dtype: str,
    layout: str,
    block_size: int | None,
) -> Servable:
    """Weights of `dtype`; `block_size` (of the resident layout) is chosen where it is None."""
    step, pool, weights = _laid_out(model, sources, read, dtype, layout, block_size)
    manifest = Manifest(
        name=name,
        family=family,
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
    reference = Reference(model, sources, read, dtype)
    return Servable(manifest, words.tokenizer, step, reference, dtype == "float32", weights)


def _laid_out(
    model: Transformer, sources: Sources, read: Read, dtype: str, layout: str, block_size: int | None
) -> tuple[Step | Resident, Pool | None, tuple[tf.Variable, ...]]:
    model, sources = fold(model, sources)
    weights = variables(sources, read, dtype)
    every = tuple(weights.values())
    if layout == EXPLICIT:
        return explicit.step(model, weights), None, every
    step = pooled.resident(model, weights, dtype, block_size)
    return step, resident.describe(step), every
