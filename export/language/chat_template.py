"""Reads the default chat template of a checkpoint from the files that may hold it."""

import logging
from collections.abc import Mapping
from typing import Any

from export.checkpoints.checkpoint import Checkpoint
from export.errors import SourceError

FILE = "chat_template.jinja"
DIRECTORY = "additional_chat_templates"
DEFAULT = "default"
"""The name of the template for plain conversations, where there are several."""

logger = logging.getLogger(__name__)


def read(checkpoint: Checkpoint) -> str | None:
    """Returns the default template, or None; template files take precedence over tokenizer_config.json."""
    config = checkpoint.optional_json("tokenizer_config.json")
    named = _files(checkpoint) or _named(config.get("chat_template"))
    template = named.get(DEFAULT)
    if named and template is None:
        logger.info(
            "no chat template: none of the templates (%s) is named %s", ", ".join(sorted(named)), DEFAULT
        )
    return template


def _files(checkpoint: Checkpoint) -> dict[str, str]:
    """Returns the templates that have files of their own, by name."""
    names = {
        path.stem: f"{DIRECTORY}/{path.name}" for path in checkpoint.directory.glob(f"{DIRECTORY}/*.jinja")
    }
    if (checkpoint.directory / FILE).exists():
        names.setdefault(DEFAULT, FILE)
    return {name: _text(checkpoint, file) for name, file in names.items()}


def _text(checkpoint: Checkpoint, file: str) -> str:
    try:
        return checkpoint.read(file).decode()
    except UnicodeDecodeError as error:
        raise SourceError(f"{checkpoint.directory / file} is not UTF-8: {error}") from error


def _named(value: Any) -> Mapping[str, str]:
    """Returns the templates in the value of `chat_template` by name."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        value = {item.get("name"): item.get("template") for item in value}
    named = value if isinstance(value, dict) else {DEFAULT: value}
    if not all(template is None or isinstance(template, str) for template in named.values()):
        raise SourceError("tokenizer_config.json: chat_template must be a string or a list of named strings")
    return {name: template for name, template in named.items() if template is not None}
