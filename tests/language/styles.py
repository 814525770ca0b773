"""The committed tokenizers in the styles of published ones, exported as a checkpoint's are."""

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
"""More than any of them has, as models' are."""


@functools.cache
def words(style: str) -> Language:
    return read_language(Checkpoint(GOLDEN / style), VOCABULARY)


@functools.cache
def tokenizer(style: str) -> Tokenizer:
    return Tokenizer.from_buffer(words(style).tokenizer)


@functools.cache
def servable(style: str) -> ServableDescription:
    manifest = Manifest(
        name=style,
        family="any",
        vocabulary_size=VOCABULARY,
        context_length=4096,
        state=(StateTensor("h", "float32", (1,)),),
        special_tokens=words(style).special_tokens,
        generation=words(style).generation,
        chat_template=words(style).chat_template,
    )
    return ServableDescription(
        ServableId(style, 1), Manifest.from_json(manifest.to_json()), words(style).tokenizer
    )


@functools.cache
def golden(style: str) -> dict[str, Any]:
    """What the transformers library says (tests/reference/language.py)."""
    answers: dict[str, Any] = json.loads((GOLDEN / style / "golden.json").read_text())
    return answers
