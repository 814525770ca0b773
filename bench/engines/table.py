"""Every engine, in the order in which a round measures them."""

from bench.engines import (
    keras_hub,
    llama,
    naive,
    openvino,
    raw,
    tensorloom,
    transformers_generate,
    transformers_serve,
    vllm,
)

ENGINES = {
    engine.name: engine
    for engine in (
        tensorloom.BF16,
        raw.BF16,
        vllm.ENGINE,
        openvino.ENGINE,
        tensorloom.F32,
        raw.F32,
        tensorloom.EXPLICIT,
        raw.EXPLICIT,
        tensorloom.REPETITIVE,
        transformers_serve.ENGINE,
        llama.BF16,
        llama.Q8,
        naive.STATE,
        naive.PREFIX,
        transformers_generate.ENGINE,
        keras_hub.ENGINE,
    )
}
