"""Token ids and chats of small tokenizers in the styles of published ones, by the transformers library.

Each directory under `language/` holds a tokenizer as a checkpoint does; `golden.json` beside it is what the
library makes of the texts in `texts.py`. With `--check`, writes nothing and compares with what is there. With
`--train`, the tokenizers themselves are made anew as well.
"""

import argparse
import hashlib
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from tests.reference import styles
from tests.reference.texts import CHATS, CORPUS, random_texts

RANDOM = 300


class FixedDate(datetime):
    """So that templates that tell the date say the same every day."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # noqa: ARG003
        return datetime(2024, 7, 26)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("tests/export/golden"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--train", action="store_true")
    args = parser.parse_args()
    chat_template_utils.datetime = FixedDate
    for style in styles.STYLES:
        directory = args.out / "language" / style
        if args.train:
            (directory / "tokenizer.json").write_text(styles.STYLES[style]().to_str())
        golden = answers(AutoTokenizer.from_pretrained(directory))
        if args.check:
            check(directory, golden)
        else:
            (directory / "golden.json").write_text(dumped(golden))
    return 0


def dumped(golden: dict[str, Any]) -> str:
    """A line for each answer."""
    parts = [
        f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(each) for each in value) + "\n]"
        for key, value in golden.items()
    ]
    return "{" + ",\n".join(parts) + "}\n"


def answers(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    ids = [tokenizer(text)["input_ids"] for text in CORPUS]
    return {
        "ids": ids,
        "texts": [digest(tokenizer.decode(each, skip_special_tokens=True)) for each in ids],
        "random": [digest(tokenizer(text)["input_ids"]) for text in random_texts(RANDOM)],
        "chats": [chat(tokenizer, messages) for messages in CHATS] if tokenizer.chat_template else [],
    }


def chat(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> dict[str, Any]:
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        return {"error": str(error)}
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    return {"text": text, "ids": digest(ids)}


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def check(directory: Path, golden: dict[str, Any]) -> None:
    """Ends the program where the library no longer answers what is committed."""
    committed = json.loads((directory / "golden.json").read_text())
    for key, value in golden.items():
        differing = [i for i, each in enumerate(value) if committed[key][i : i + 1] != [each]]
        print(f"language {directory.name} {key}: {len(value)} compared, {len(differing)} differ")
        if differing:
            sys.exit(f"{directory}: {key} {differing[0]} differs")


if __name__ == "__main__":
    sys.exit(main())
