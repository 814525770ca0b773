"""Every engine of `bench compare`, by its name."""

from bench.engines import llama, naive, packages, raw, tensorloom

_QUICK = (
    tensorloom.BF16,
    raw.BF16,
    packages.VLLM,
    packages.OPENVINO,
    tensorloom.INT8,
    raw.INT8,
    llama.Q8,
    tensorloom.LLAMA,
    packages.VLLM_LLAMA,
)
_SLOW = (
    tensorloom.F32,
    raw.F32,
    tensorloom.EXPLICIT,
    raw.EXPLICIT,
    tensorloom.REPETITIVE,
    packages.VLLM_DEFAULT,
    packages.TRANSFORMERS_SERVE,
    llama.BF16,
    naive.STATE,
    naive.PREFIX,
    packages.TRANSFORMERS_GENERATE,
    packages.KERAS_HUB,
)
ENGINES = {contender.name: contender for contender in (*_QUICK, *_SLOW)}
"""In the order in which a round measures them."""
QUICK = tuple(contender.name for contender in _QUICK)
"""The engines of `--quick`."""
