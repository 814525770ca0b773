"""`transformers serve` with continuous batching, over HTTP."""

import contextlib
import json
from collections.abc import Iterator
from functools import cached_property

from tokenizers import Tokenizer

from bench.engines.engine import Engine, Kind, Measure, Setup
from bench.engines.environment import Environment, child_environment
from bench.engines.server import serving
from bench.settings import HOST, free_port
from bench.small import vocabulary
from bench.small.checkpoint import VARIED
from bench.small.servables import written_checkpoint
from bench.sse import ResponseError
from bench.workload import Workload

ENVIRONMENT = Environment(
    "transformers", ("torch==2.13.0", "transformers[serving]==5.23.0", "accelerate==1.15.0")
)


class TransformersServe:
    """Takes text alone, sends an event for each token, and the tokens of an answer with its last event."""

    end = b'"finish_reason":"'

    def __init__(self, model: str) -> None:
        self._model = model

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return vocabulary.build()

    def body(self, workload: Workload, number: int, new_tokens: int) -> bytes:
        request = {
            "model": self._model,
            "prompt": self._tokenizer.decode(workload.prompt(number)),
            "max_tokens": new_tokens,
            "temperature": 0,
            "stream": True,
        }
        return json.dumps(request).encode()

    def tokens(self, event: bytes, before: int) -> int:
        try:
            parsed = json.loads(event)
            usage, text = parsed.get("usage"), parsed["choices"][0]["text"]
        except (KeyError, ValueError):
            raise ResponseError(event.decode()) from None
        return usage["completion_tokens"] if usage else before + bool(text)


def _prepare(setup: Setup) -> None:
    ENVIRONMENT.install(setup.cache)
    written_checkpoint(setup.cache, VARIED)


@contextlib.contextmanager
def _started(setup: Setup) -> Iterator[Measure]:
    port = free_port()
    checkpoint = str(written_checkpoint(setup.cache, VARIED))
    program = ENVIRONMENT.install(setup.cache) / "bin/transformers"
    options = ["--continuous-batching", "--dtype=bfloat16", "--device=cpu", "--log-level=error"]
    command = [str(program), "serve", checkpoint, f"--host={HOST}", f"--port={port}", *options]
    log = setup.logs / "transformers-serve.log"
    with serving(command, port, log, child_environment(), TransformersServe(checkpoint)) as measure:
        yield measure


ENGINE = Engine("transformers-serve", "transformers serve, bf16", Kind.SERVER, _prepare, _started)
