"""Writes the golden file of `tests/export/transformer_model/test_rope.py`, from the transformers library.

Each case has the settings of a configuration, those that the library saves of it, and what the library's
rotary module then holds for a sequence of `context` positions, with some cosines and sines at the last.
Runs in an environment of its own (requirements.txt). With `--check`, writes nothing and compares.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig

HEADS = 2
EVERY = 8  # of the frequencies, one whose cosine and sine are written
ONE_BIT = 2.0**-23  # in which frequencies may differ between processors
TOLERANCES = {"cos": ONE_BIT, "sin": ONE_BIT}  # for each position, since that multiplies the difference
SAVED = ("model_type", "rope_parameters", "max_position_embeddings", "original_max_position_embeddings")


def case(
    model_type: str, head_dim: int, context: int, layer: str | None = None, **settings: Any
) -> dict[str, Any]:
    settings = {"model_type": model_type, **settings}
    return {"settings": settings, "head_dim": head_dim, "context": context, "layer_type": layer}


def scaled(rope_type: str, **settings: Any) -> dict[str, Any]:
    return {"rope_type": rope_type, **settings}


def llama3(factor: float) -> dict[str, Any]:
    rest = {"high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192}
    return scaled("llama3", factor=factor, **rest)


def longrope(count: int, **settings: Any) -> dict[str, Any]:
    """Made-up factors: from 1 upwards, the long ones further."""
    short = [round(1 + 0.03 * i, 4) for i in range(count)]
    long = [round(1.07 + 0.011 * i * i, 4) for i in range(count)]
    return {"short_factor": short, "long_factor": long, **settings}


YARN = {"factor": 4.0, "original_max_position_embeddings": 32768}
PHI3 = {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rope_theta": 10000.0}
PHI4 = {**PHI3, "partial_rotary_factor": 0.75}
GEMMA3 = {"max_position_embeddings": 131072, "rope_scaling": scaled("linear", factor=8.0)}
LLAMA2 = {"max_position_embeddings": 4096, "rope_theta": 10000.0}
OLD_LINEAR = {"type": "linear", "factor": 4.0}
LENGTH = {"max_position_embeddings": 131072}
NESTED_YARN = scaled("yarn", factor=8.0, truncate=False, original_max_position_embeddings=8192)
BY_LAYER = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}

CASES = {
    "llama-2": case("llama", 128, 4096, **LLAMA2, rope_scaling=None),
    "llama without theta": case("llama", 64, 2048, max_position_embeddings=2048),
    "llama-3.1-8b": case(
        "llama", 128, 100000, max_position_embeddings=131072, rope_theta=500000.0, rope_scaling=llama3(8.0)
    ),
    "llama-3.2-1b": case(
        "llama", 64, 100000, max_position_embeddings=131072, rope_theta=500000.0, rope_scaling=llama3(32.0)
    ),
    "llama newer form": case(
        "llama",
        64,
        8192,
        max_position_embeddings=8192,
        rope_parameters=scaled("default", rope_theta=250000.0),
    ),
    "linear": case("llama", 128, 16384, **LLAMA2, rope_scaling=OLD_LINEAR),
    "linear by a third": case("llama", 96, 4096, **LLAMA2, rope_scaling=scaled("linear", factor=3)),
    "dynamic": case("llama", 128, 4096, **LLAMA2, rope_scaling={"type": "dynamic", "factor": 2.0}),
    "dynamic odd": case(
        "llama", 80, 999, max_position_embeddings=1000, rope_scaling=scaled("dynamic", factor=1.7)
    ),
    "mixtral without theta": case("mixtral", 64, 32768, max_position_embeddings=32768),
    "smollm3 without theta": case("smollm3", 64, 65536, max_position_embeddings=65536),
    "qwen2.5": case("qwen2", 128, 32768, max_position_embeddings=32768, rope_theta=1000000.0),
    "qwen2.5 yarn": case(
        "qwen2",
        128,
        100000,
        max_position_embeddings=32768,
        rope_theta=1e6,
        rope_scaling={"type": "yarn", **YARN},
    ),
    "yarn settings": case(
        "llama",
        64,
        20000,
        max_position_embeddings=40960,
        rope_theta=150000.0,
        rope_scaling=scaled(
            "yarn",
            factor=32.0,
            beta_fast=24.0,
            beta_slow=1.5,
            truncate=False,
            original_max_position_embeddings=4096,
        ),
    ),
    "yarn mscale": case(
        "llama",
        64,
        20000,
        max_position_embeddings=40960,
        rope_scaling=scaled(
            "yarn", factor=40, mscale=0.707, mscale_all_dim=1.2, original_max_position_embeddings=4096
        ),
    ),
    "yarn one mscale": case(
        "llama",
        64,
        4096,
        max_position_embeddings=4096,
        rope_scaling=scaled("yarn", factor=10.0, mscale=0.707),
    ),
    "yarn attention factor": case(
        "llama",
        64,
        4096,
        max_position_embeddings=4096,
        rope_scaling=scaled("yarn", factor=10.0, attention_factor=1.3),
    ),
    "yarn factor from lengths": case(
        "llama",
        64,
        4096,
        max_position_embeddings=16384,
        rope_scaling=scaled("yarn", factor=None, original_max_position_embeddings=2048),
    ),
    "yarn without a ramp": case(
        "llama",
        16,
        64,
        max_position_embeddings=64,
        rope_scaling=scaled(
            "yarn", factor=2.0, beta_fast=1.0, beta_slow=1.0, original_max_position_embeddings=6
        ),
    ),
    "yarn trained length outside": case(
        "llama",
        64,
        4096,
        max_position_embeddings=16384,
        original_max_position_embeddings=2048,
        rope_scaling=scaled("yarn", factor=8.0, original_max_position_embeddings=4096),
    ),
    "phi-3-mini-4k": case("phi3", 96, 4096, **PHI3 | {"max_position_embeddings": 4096}, rope_scaling=None),
    "phi-3-mini-128k short": case("phi3", 96, 4096, **PHI3, rope_scaling=longrope(48, type="longrope")),
    "phi-3-mini-128k long": case("phi3", 96, 4097, **PHI3, rope_scaling=longrope(48, type="longrope")),
    "phi-3-mini-128k su": case(
        "phi3",
        96,
        100000,
        **PHI3,
        rope_scaling=longrope(48, type="su", original_max_position_embeddings=4096),
    ),
    "phi-3-mini-128k yarn": case("phi3", 32, 100000, **PHI3, rope_scaling=longrope(16, type="yarn")),
    "phi-4-mini": case("phi3", 128, 100000, **PHI4, rope_scaling=longrope(48, type="longrope")),
    "phi3 without trained length": case(
        "phi3", 32, 5000, max_position_embeddings=8192, rope_scaling=longrope(16, type="longrope")
    ),
    "longrope factor": case(
        "llama",
        32,
        5000,
        max_position_embeddings=8192,
        rope_scaling=longrope(16, rope_type="longrope", factor=4.0, original_max_position_embeddings=4096),
    ),
    "longrope attention factor": case(
        "llama",
        32,
        300,
        max_position_embeddings=8192,
        rope_scaling=longrope(
            16, rope_type="longrope", attention_factor=1.19, original_max_position_embeddings=4096
        ),
    ),
    "gemma-3-1b sliding": case(
        "gemma3_text", 256, 32768, "sliding_attention", rope_theta=1e6, rope_local_base_freq=20000
    ),
    "gemma-3-1b full": case(
        "gemma3_text", 256, 32768, "full_attention", rope_theta=5e5, rope_local_base_freq=10000
    ),
    "gemma-3-4b sliding": case("gemma3_text", 256, 100000, "sliding_attention", **GEMMA3),
    "gemma-3-4b full": case("gemma3_text", 256, 100000, "full_attention", **GEMMA3),
    "gemma-3 newer form sliding": case(
        "gemma3_text", 64, 4096, "sliding_attention", rope_parameters=BY_LAYER
    ),
    "gemma-3 newer form full": case("gemma3_text", 64, 4096, "full_attention", rope_parameters=BY_LAYER),
    "yarn by layer": case("gemma3_text", 64, 4096, "full_attention", rope_scaling=NESTED_YARN, **LENGTH),
    "pythia": case(
        "gpt_neox", 64, 2048, max_position_embeddings=2048, rotary_pct=0.25, rotary_emb_base=10000
    ),
    "gpt_neox whole": case(
        "gpt_neox", 96, 2048, max_position_embeddings=2048, rotary_pct=1.0, rotary_emb_base=25000
    ),
    "gpt_neox silent": case(
        "gpt_neox", 64, 2048, max_position_embeddings=2048, rope_theta=5e5, partial_rotary_factor=1.0
    ),
    "phi-1": case(
        "phi", 64, 2048, max_position_embeddings=2048, rope_theta=10000.0, partial_rotary_factor=0.5
    ),
    "phi-2": case(
        "phi", 80, 2048, max_position_embeddings=2048, rope_theta=10000.0, partial_rotary_factor=0.4
    ),
    "phi silent": case("phi", 64, 2048, max_position_embeddings=2048),
    "phi linear": case("phi", 80, 4096, partial_rotary_factor=0.4, rope_scaling=OLD_LINEAR),
    "stablelm-3b": case("stablelm", 80, 4096, max_position_embeddings=4096, partial_rotary_factor=0.25),
    "stablelm silent": case("stablelm", 64, 4096, max_position_embeddings=4096),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("tests/export/golden"))
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    path = args.out / "rope.json"
    now = {name: given | answers(**given) for name, given in CASES.items()}
    if args.check:
        check(json.loads(path.read_text()), now)
    else:
        rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in now.items())
        path.write_text(f"{{\n{rows}\n}}\n")
    return 0


@torch.no_grad()
def answers(settings: dict[str, Any], head_dim: int, context: int, layer_type: str | None) -> dict[str, Any]:
    # A copy, since the library writes into what it is given.
    given = json.loads(json.dumps(settings))
    config = AutoConfig.for_model(
        **given, head_dim=head_dim, hidden_size=HEADS * head_dim, num_attention_heads=HEADS
    )
    layer = {} if layer_type is None else {"layer_type": layer_type}
    module = rotary_class(settings["model_type"])(config)
    last = torch.tensor([[context - 1]])
    cos, sin = module(torch.zeros(1), last, **layer)
    prefix = "" if layer_type is None else f"{layer_type}_"
    frequencies = getattr(module, f"{prefix}inv_freq")
    some = slice(0, len(frequencies), EVERY)
    return {
        "saved": {key: value for key, value in config.to_dict().items() if key in SAVED},
        "scale": getattr(module, f"{prefix}attention_scaling"),
        "frequencies": floats(frequencies),
        "cos": floats(cos[0, 0, some]),
        "sin": floats(sin[0, 0, some]),
    }


def rotary_class(model_type: str) -> Any:
    name = model_type.removesuffix("_text")
    module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    (found,) = (value for key, value in vars(module).items() if key.endswith("RotaryEmbedding"))
    return found


def floats(values: torch.Tensor) -> list[float]:
    """As few digits as tell float32 values apart."""
    assert values.dtype == torch.float32
    return [float(str(value)) for value in values.numpy()]


def check(golden: dict[str, Any], now: dict[str, Any]) -> None:
    """Ends the program where the library no longer answers what is committed."""
    if list(golden) != list(now):
        sys.exit(f"rope.json has other cases: {sorted(set(golden) ^ set(now))}")
    for name, value in now.items():
        for key in value:
            if not equal(golden[name][key], value[key], TOLERANCES.get(key, 0) * value["context"]):
                sys.exit(f"rope.json: {name}: {key} differs")
    print(f"rope.json: {len(now)} cases are the library's")


def equal(golden: Any, now: Any, tolerance: float) -> bool:
    if not isinstance(now, list):
        return bool(golden == now)
    return bool(np.allclose(golden, now, rtol=ONE_BIT, atol=tolerance))


if __name__ == "__main__":
    sys.exit(main())
