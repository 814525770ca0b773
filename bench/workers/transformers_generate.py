"""`python -m bench.workers.transformers_generate CHECKPOINT THREADS`: transformers' `generate`, bfloat16."""

import sys
from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM
from transformers.generation.streamers import BaseStreamer

from bench.workers.answers import Arrived, measure_batches, own_output, serve_load


class StepStreamer(BaseStreamer):  # type: ignore[misc]
    """Calls `arrived` for every step. It receives the prompts first, which are not a step."""

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived
        self._prompt_is_next = True

    def put(self, value: torch.Tensor) -> None:  # noqa: ARG002
        """Receives the prompts or a step's tokens."""
        if not self._prompt_is_next:
            self._arrived()
        self._prompt_is_next = False

    def end(self) -> None:
        """Does nothing: no token is held back."""


def main(checkpoint: str, threads: str) -> None:
    """Loads the checkpoint and answers questions."""
    out = own_output()
    torch.set_num_threads(int(threads))
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.bfloat16).eval()

    def generate(prompts: Sequence[Sequence[int]], count: int, arrived: Arrived) -> None:
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=count,
                do_sample=False,
                pad_token_id=0,
                streamer=StepStreamer(arrived),
            )

    serve_load(lambda question: measure_batches(generate, question), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
