"""`python -m bench.workers.openvino MODEL THREADS`: OpenVINO GenAI's continuous batching."""

import sys
import time
from dataclasses import dataclass, field

import numpy as np
import openvino as ov
import openvino_genai as genai
from openvino_genai import py_openvino_genai

from bench.latency import Chunk, Trace, Window, latencies
from bench.workers.answers import Answer, LoadQuestion, own_output, prompts, serve_load
from bench.workload import settling_s

_CACHE_GB = 4
_BATCHED_TOKENS = 4096
_MOST_SEQUENCES = 64


@dataclass
class OpenRequest:
    """A request and the chunks of its answer so far."""

    handle: py_openvino_genai.GenerationHandle
    sent: float
    chunks: list[Chunk] = field(default_factory=list)

    def take(self) -> None:
        """Reads the tokens that are available."""
        now, tokens = time.perf_counter(), 0
        while self.handle.can_read():
            (output,) = self.handle.read().values()
            tokens += len(output.generated_ids)
        if tokens:
            self.chunks.append(Chunk(now, tokens))

    @property
    def over(self) -> bool:
        """Whether the answer is complete."""
        return bool(self.handle.get_status() == genai.GenerationStatus.FINISHED)


class Sessions:
    """Sessions that send requests back to back."""

    def __init__(self, pipeline: genai.ContinuousBatchingPipeline, question: LoadQuestion) -> None:
        self._pipeline = pipeline
        self._workload = question.workload
        self._prompts = prompts(question.workload)
        self._number = 0
        self.requests: list[OpenRequest] = []
        lengths = [question.workload.first_length(i, question.sessions) for i in range(question.sessions)]
        self._open = [self._ask(length) for length in lengths]

    def step(self) -> None:
        """Runs one step of the pipeline, and replaces answers that are complete by new requests."""
        self._pipeline.step()
        for place, request in enumerate(self._open):
            request.take()
            if request.over:
                self._open[place] = self._ask(self._workload.new_tokens)

    def run(self, seconds: float) -> None:
        """Runs steps for so many seconds."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.step()

    @property
    def begun(self) -> bool:
        """Whether every session has its first token."""
        return all(request.chunks for request in self._open)

    def abandon(self) -> None:
        """Cancels all open requests and waits until the pipeline is empty."""
        for request in self._open:
            request.handle.cancel()
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    def _ask(self, new_tokens: int) -> OpenRequest:
        config = genai.GenerationConfig(max_new_tokens=new_tokens, ignore_eos=True, do_sample=False)
        ids = ov.Tensor(np.array([next(self._prompts)], np.int64))
        sent = time.perf_counter()
        request = OpenRequest(self._pipeline.add_request(self._number, ids, config), sent)
        self._number += 1
        self.requests.append(request)
        return request


def measure(pipeline: genai.ContinuousBatchingPipeline, question: LoadQuestion) -> Answer:
    """Measures a window that opens a few seconds after every session has its first token."""
    sessions = Sessions(pipeline, question)
    while not sessions.begun:
        sessions.step()
    sessions.run(settling_s(question.seconds))
    start, cpu = time.perf_counter(), time.process_time()
    sessions.run(question.seconds)
    window, cpu = Window(start, time.perf_counter()), time.process_time() - cpu
    traces = [Trace(request.sent, tuple(request.chunks)) for request in sessions.requests]
    sessions.abandon()
    return Answer(latencies(traces, window), 1000 * cpu)


def main(model: str, threads: str) -> None:
    """Builds the pipeline and answers questions."""
    out = own_output()
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = _CACHE_GB
    scheduler.enable_prefix_caching = False
    scheduler.max_num_batched_tokens = _BATCHED_TOKENS
    scheduler.max_num_seqs = _MOST_SEQUENCES
    properties = {"INFERENCE_NUM_THREADS": int(threads), "INFERENCE_PRECISION_HINT": "bf16"}
    pipeline = genai.ContinuousBatchingPipeline(model, scheduler, "CPU", properties)
    serve_load(lambda question: measure(pipeline, question), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
