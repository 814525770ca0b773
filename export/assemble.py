"""Builds a model that is ready to be written from a described Transformer and its language."""

import tensorflow as tf

from contract.manifest import EXPLICIT, Manifest, Pool
from export.language.read import Language
from export.options import INT8, ExportOptions
from export.reference.transformer import TransformerReference
from export.signatures import explicit_decode, explicit_model, resident, resident_model
from export.signatures.servable import ExportedModel, ResidentModel, StepFunction
from export.transformer_model.folding import fold
from export.transformer_model.int8_weights import int8_variables, owned
from export.transformer_model.weight_source import DescribedModel
from export.transformer_model.weights import variables


def assemble(
    name: str, family: str, described: DescribedModel, language: Language, options: ExportOptions
) -> ExportedModel:
    """Builds the model `name`, over variables with its weights, in the layout and dtype of `options`."""
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
        special_tokens=language.special_tokens,
        generation=language.generation,
        chat_template=language.chat_template,
    )
    quantized = options.weights == INT8
    reference = TransformerReference(*described, "float32" if quantized else dtype)
    exact = options.pool_dtype == "float32" and not quantized
    return ExportedModel(manifest, language.tokenizer, step, reference, exact, weights)


def _lay_out(
    described: DescribedModel, options: ExportOptions
) -> tuple[StepFunction | ResidentModel, Pool | None, tuple[tf.Variable, ...]]:
    """Returns the model in the layout of `options`, its pool (resident layout only) and its variables."""
    model, sources = fold(described.model, described.sources)
    read = int8_variables if options.weights == INT8 else variables
    weights = read(sources, described.read, options.dtype)
    freed = tuple(owned(weights.values()))
    if options.layout == EXPLICIT:
        return explicit_model.step(model, weights), None, freed
    step = resident_model.resident(model, weights, options.pool_dtype, options.block_size)
    return step, resident.describe(step), freed
