"""The two files of a golden model: `<name>.json` says what the model is, `<name>.npz` holds arrays.

The JSON has `case` (what tests must know of it), `config` (the checkpoint's config.json) and `tensors` (names
and shapes). The arrays are the library's answers; the weights lie among them where no seed makes them.
tests/reference writes both files, in an environment of its own: this module needs numpy alone.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]
Shapes = dict[str, tuple[int, ...]]

_WEIGHT = "weights/"
"""Before the name of a tensor in the file of arrays."""


@dataclass(frozen=True)
class GoldenModel:
    case: dict[str, Any]
    config: dict[str, Any]
    tensors: Shapes
    answers: Arrays
    weights: Arrays
    """By tensor name; empty where the weights are made from the case's seed."""


def names(directory: Path) -> list[str]:
    """Returns the names of the golden models in `directory`."""
    return sorted(path.stem for path in directory.glob("*.json"))


def read(directory: Path, name: str) -> GoldenModel:
    described = json.loads((directory / f"{name}.json").read_text())
    with np.load(directory / f"{name}.npz") as file:
        arrays = dict(file)
    return GoldenModel(
        case=described["case"],
        config=described["config"],
        tensors={tensor: tuple(shape) for tensor, shape in described["tensors"].items()},
        answers={key: value for key, value in arrays.items() if not key.startswith(_WEIGHT)},
        weights={
            key.removeprefix(_WEIGHT): value for key, value in arrays.items() if key.startswith(_WEIGHT)
        },
    )


def write(directory: Path, name: str, model: GoldenModel) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    described = {"case": model.case, "config": model.config, "tensors": model.tensors}
    (directory / f"{name}.json").write_text(_dumps(described))
    weights = {_WEIGHT + tensor: value for tensor, value in model.weights.items()}
    np.savez_compressed(directory / f"{name}.npz", **model.answers, **weights)


def _dumps(described: dict[str, dict[str, Any]]) -> str:
    """JSON with one line for each entry of each section."""
    sections = []
    for section, entries in described.items():
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())
        sections.append(f"  {json.dumps(section)}: {{\n{lines}\n  }}")
    return "{\n" + ",\n".join(sections) + "\n}\n"
