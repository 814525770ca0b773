"""Writes a demo model as a checkpoint that the exporter reads: float16 weights, tokenizer, JSON files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from export.demo.corpus import END, TALE, USER

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}" + USER + "{{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %}" + TALE + "{{ message['content'] }}" + END + "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}" + TALE + "{% endif %}"
)

TOKENIZER_CONFIG = {"bos_token": END, "eos_token": END, "chat_template": CHAT_TEMPLATE}
GENERATION_CONFIG = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "max_new_tokens": 200}


def write(directory: Path, config: Mapping[str, Any], weights: Mapping[str, tf.Variable]) -> None:
    """Writes the weights and the JSON files, without the tokenizer."""
    directory.mkdir(parents=True, exist_ok=True)
    _json(directory / "config.json", config)
    _json(directory / "tokenizer_config.json", TOKENIZER_CONFIG)
    _json(directory / "generation_config.json", GENERATION_CONFIG)
    halves = {name: np.asarray(variable.numpy(), np.float16) for name, variable in weights.items()}
    save_file(halves, directory / "model.safetensors")


def write_tokenizer(directory: Path, tokenizer: Tokenizer) -> None:
    """Writes `tokenizer.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)


def _json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
