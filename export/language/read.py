"""Reads the language of a checkpoint directory: tokenizer, special tokens, template, generation defaults.

The files are those beside the weights in Hugging Face's layout, for any model family.
"""

from dataclasses import dataclass

from contract.manifest import GenerationDefaults, SpecialTokens
from export.checkpoints.checkpoint import Checkpoint
from export.language import chat_template, generation_defaults, special_tokens, tokenizer_file


@dataclass(frozen=True)
class Language:
    """The part of a manifest that does not depend on the model family."""

    tokenizer: bytes
    special_tokens: SpecialTokens
    generation: GenerationDefaults
    chat_template: str | None


def read_language(checkpoint: Checkpoint, vocabulary_size: int) -> Language:
    """Reads the language; raises SourceError for a missing or malformed file, or ids that are too large."""
    tokens = special_tokens.read(checkpoint)
    parsed, data = tokenizer_file.read(checkpoint, tokens, vocabulary_size)
    generation = checkpoint.optional_json(generation_defaults.FILE)
    ids = checkpoint.config | {key: value for key, value in generation.items() if value is not None}
    return Language(
        tokenizer=data,
        special_tokens=special_tokens.identify(parsed, tokens, ids),
        generation=generation_defaults.read(generation),
        chat_template=chat_template.read(checkpoint),
    )
