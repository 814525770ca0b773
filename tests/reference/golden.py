"""Writes the golden files that tests of the exporter read, from the transformers library.

Runs in an environment of its own (requirements.txt), from the top of the repository. With `--check`, writes
nothing, and compares what is there with what the library answers now; with names of cases, only these.
"""

import argparse
import sys
from pathlib import Path

import torch
from transformers.utils import logging

from tests.export import golden_files
from tests.reference import answers, gpt2
from tests.reference.cases import CASES

GOLDEN = Path(__file__).parent.parent / "export/golden"
MODELS = GOLDEN / "models"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if unknown := set(args.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    # Several would only wait for each other, over tensors as small as these.
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    (check if args.check else write)(args.cases)
    return 0


def write(names: list[str]) -> None:
    if not names:
        gpt2.write_all(GOLDEN)
    for name in names or CASES:
        answers.write(CASES[name], MODELS, name)
        print(name, flush=True)


def check(names: list[str]) -> None:
    """Ends with an error where something differs."""
    if not names:
        gpt2.check_all(GOLDEN)
        committed = set(golden_files.names(MODELS))
        assert committed == set(CASES), f"not cases, or not written: {committed ^ set(CASES)}"
    print("| case | logits differ by | KL of the library's bfloat16 from its float32 |\n| --- | --- | --- |")
    for name in names or CASES:
        print(answers.check(CASES[name], MODELS, name), flush=True)


if __name__ == "__main__":
    sys.exit(main())
