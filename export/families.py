"""The families that are read from checkpoints, and how a checkpoint of one becomes a servable."""

import logging
from pathlib import Path
from types import ModuleType

from contract.manifest import Manifest
from export import gpt2, language, lstm
from export.checkpoint import Checkpoint
from export.errors import UnsupportedError
from export.servable import Servable

FAMILIES: dict[str, ModuleType] = {module.MODEL_TYPE: module for module in (gpt2, lstm)}

logger = logging.getLogger(__name__)


def load(family: str, directory: Path, name: str, dtype: str) -> Servable:
    """The checkpoint in `directory` as a servable; SourceError where it is not one of `family`."""
    module = FAMILIES[family]
    if dtype not in module.DTYPES:
        raise UnsupportedError(f"dtype {dtype} is not implemented for {family}: {', '.join(module.DTYPES)}")
    logger.info("reading %s", directory)
    checkpoint = Checkpoint(directory)
    checkpoint.require_type(family, tuple(FAMILIES))
    config = module.read_config(checkpoint)
    words = language.read(checkpoint, config.vocab_size)
    weights = module.read_weights(checkpoint, config)
    manifest = Manifest(
        name=name,
        family=family,
        vocabulary_size=config.vocab_size,
        context_length=config.context_length,
        state=module.state(config, dtype),
        special_tokens=words.special_tokens,
        generation=words.generation,
        chat_template=words.chat_template,
    )
    return Servable(
        manifest=manifest,
        tokenizer=words.tokenizer,
        step=module.step(config, weights, dtype),
        reference=module.reference(config, weights),
        exact=dtype == "float32",
    )
