"""The families that are read from checkpoints, and how a checkpoint of one becomes a servable."""

import logging
from pathlib import Path
from types import ModuleType

from contract.manifest import EXPLICIT, RESIDENT, Manifest
from export import decode, gpt2, gpt2_resident, language, lstm, resident
from export.checkpoint import Checkpoint
from export.errors import UnsupportedError
from export.servable import Servable

FAMILIES: dict[str, ModuleType] = {module.MODEL_TYPE: module for module in (gpt2, lstm)}
RESIDENT_FAMILIES: dict[str, ModuleType] = {gpt2.MODEL_TYPE: gpt2_resident}
"""Those that also have the resident layout."""

logger = logging.getLogger(__name__)


def load(family: str, directory: Path, name: str, dtype: str, layout: str = EXPLICIT) -> Servable:
    """The checkpoint in `directory` as a servable; SourceError where it is not one of `family`."""
    module = FAMILIES[family]
    if dtype not in module.DTYPES:
        raise UnsupportedError(f"dtype {dtype} is not implemented for {family}: {', '.join(module.DTYPES)}")
    if layout == RESIDENT and family not in RESIDENT_FAMILIES:
        raise UnsupportedError(f"resident state is not implemented for {family}")
    logger.info("reading %s", directory)
    checkpoint = Checkpoint(directory)
    checkpoint.require_type(family, tuple(FAMILIES))
    config = module.read_config(checkpoint)
    words = language.read(checkpoint, config.vocab_size)
    weights = module.read_weights(checkpoint, config)
    if layout == RESIDENT:
        step = RESIDENT_FAMILIES[family].model(config, weights, dtype)
        state, pool = (), resident.describe(step)
    else:
        step = module.step(config, weights, dtype)
        state, pool = module.state(config, dtype), None
    manifest = Manifest(
        name=name,
        family=family,
        vocabulary_size=config.vocab_size,
        context_length=config.context_length,
        state_layout=layout,
        state=state,
        pool=pool,
        decode_steps=decode.MAX_STEPS if layout == EXPLICIT else 0,
        special_tokens=words.special_tokens,
        generation=words.generation,
        chat_template=words.chat_template,
    )
    return Servable(
        manifest=manifest,
        tokenizer=words.tokenizer,
        step=step,
        reference=module.reference(config, weights),
        exact=dtype == "float32",
    )
