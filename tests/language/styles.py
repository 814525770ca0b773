"""Tokenizers in the styles of published ones, read as the exporter reads those of a checkpoint."""

import functools
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from contract.manifest import Manifest, StateTensor
from deployments.messages import ServableDescription, ServableId
from export.checkpoints.checkpoint import Checkpoint
from export.language.read import Language, read_language

GOLDEN = Path(__file__).parents[1] / "export" / "golden" / "language"
STYLES = sorted(path.name for path in GOLDEN.iterdir())
VOCABULARY = 512
"""More than the tokens of any of these tokenizers, as with published models."""


@functools.cache
def language(style: str) -> Language:
    return read_language(Checkpoint(GOLDEN / style), VOCABULARY)


@functools.cache
def tokenizer(style: str) -> Tokenizer:
    return Tokenizer.from_buffer(language(style).tokenizer)


@functools.cache
def servable(style: str) -> ServableDescription:
    manifest = Manifest(
        name=style,
        family="any",
        vocabulary_size=VOCABULARY,
        context_length=4096,
        state=(StateTensor("h", "float32", (1,)),),
        special_tokens=language(style).special_tokens,
        generation=language(style).generation,
        chat_template=language(style).chat_template,
    )
    return ServableDescription(
        ServableId(style, 1), Manifest.from_json(manifest.to_json()), language(style).tokenizer
    )


@functools.cache
def golden(style: str) -> dict[str, Any]:
    """Returns the results of the transformers library (written by tests/reference/language.py)."""
    answers: dict[str, Any] = json.loads((GOLDEN / style / "golden.json").read_text())
    return answers
