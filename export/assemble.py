"""Joins a described Transformer and its language into a model that is ready to be written."""

import tensorflow as tf

from contract.manifest import EXPLICIT, Manifest, Pool
from export.language.read import Language
from export.options import ExportOptions
from export.reference.transformer import TransformerReference
from export.signatures import explicit_decode, explicit_model, resident, resident_model
from export.signatures.servable import ExportedModel, ResidentModel, Step
from export.transformer_model.folding import fold
from export.transformer_model.weight_source import DescribedModel
from export.transformer_model.weights import variables


def assemble(
    name: str, family: str, described: DescribedModel, words: Language, options: ExportOptions
) -> ExportedModel:
    """Joins a described model and its language into a model that is ready to be written under `name`."""
    model, dtype = described.model, options.dtype
    step, pool, weights = _lay_out(described, options)
    explicit = options.layout == EXPLICIT
    manifest = Manifest(
        name=name,
        family=family,
        vocabulary_size=model.vocabulary_size,
        context_length=model.context_length,
        state_layout=options.layout,
        state=explicit_model.state(model, dtype) if explicit else (),
        pool=pool,
        decode_steps=explicit_decode.MAX_STEPS if explicit else 0,
        special_tokens=words.special_tokens,
        generation=words.generation,
        chat_template=words.chat_template,
    )
    reference = TransformerReference(*described, dtype)
    return ExportedModel(manifest, words.tokenizer, step, reference, dtype == "float32", weights)


def _lay_out(
    described: DescribedModel, options: ExportOptions
) -> tuple[Step | ResidentModel, Pool | None, tuple[tf.Variable, ...]]:
    """Builds the model over its variables, in the state layout that is asked for."""
    model, sources = fold(described.model, described.sources)
    weights = variables(sources, described.read, options.dtype)
    every = tuple(weights.values())
    if options.layout == EXPLICIT:
        return explicit_model.step(model, weights), None, every
    step = resident_model.resident(model, weights, options.dtype, options.block_size)
    return step, resident.describe(step), every
