"""The decode loop over real graphs of both layouts: the same requests get the same tokens."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from deployments.decoder.admission import Admission
from deployments.decoder.engine import Engine, StepRejectedError
from deployments.decoder.explicit.admission import ReservedAdmission
from deployments.decoder.explicit.engine import ExplicitEngine
from deployments.decoder.explicit.state_store import StateStore
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.engine import ResidentEngine
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.sampling.token_mask import pack
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.model_servers import Inputs, Tensors
from deployments.errors import TensorloomError
from deployments.messages import FinishReason, SamplingParams, TokenLogprobs
from export.hf.load import load_checkpoint
from export.options import FLOAT, INT8, ExportOptions
from export.saved_model import write
from export.verification.pool_stepper import PoolStepper
from export.verification.stepper import Stepper
from tests.deployments.decoder.sessions import running
from tests.export import residents, samples

SLOTS = 8
VOCABULARY = 300
BROKEN_POSITION = 60


class InProcessServer:
    """A servable in this process, with the interface that the decode loop has to a model server."""

    available = 1

    def __init__(self, stepper: Stepper | PoolStepper) -> None:
        self._stepper = stepper
        self.calls: list[str] = []

    async def call(self, signature: str, inputs: Inputs) -> Tensors:
        self.calls.append(signature)
        await asyncio.sleep(0)
        if isinstance(self._stepper, Stepper):
            return self._stepper.call(signature, {name: np.asarray(value) for name, value in inputs.items()})
        try:
            return self._stepper.call(signature, **inputs)
        except tf.errors.OpError as error:
            raise StepRejectedError(str(error)) from error


def loop_over(server: InProcessServer, stepper: Stepper | PoolStepper, several_steps: bool) -> DecodeLoop:
    """Returns a decode loop with several steps in a call.

    With explicit state and without `several_steps`, with one step in a call and sampling in the loop.
    """
    engine: Engine
    admission: Admission
    if isinstance(stepper, Stepper):
        manifest = stepper.manifest if several_steps else replace(stepper.manifest, decode_steps=0)
        engine = ExplicitEngine(StateStore(manifest), server, 3600)
        admission = ReservedAdmission(1 << 30, stepper.manifest.state_bytes)
    else:
        layout = BlockLayout((SLOTS,) * stepper.pool.blocks)
        # With a target of an hour a call runs as many steps as the pool allows while the batch is stable.
        engine = ResidentEngine(
            stepper.pool, SlotTable(layout, stepper.pool.block_size), Lease(server, layout.slots), 3600
        )
        admission = BlockAdmission(stepper.pool, layout)
    limits = Limits(max_batch_size=SLOTS, max_running=SLOTS, max_waiting=64, prefill_token_budget=64)
    return DecodeLoop(Scheduler(limits, admission), engine, 0.1)


Answer = tuple[list[int], FinishReason, list[TokenLogprobs]]


async def answer(loop: DecodeLoop, sequence: TokenSequence) -> Answer:
    outbox, ids, logprobs = loop.submit(sequence), [], []
    while True:
        chunk = await outbox.take()
        ids.extend(chunk.ids)
        logprobs.extend(chunk.logprobs or ())
        if chunk.finish is not None:
            return ids, chunk.finish, logprobs


async def answers(
    stepper: Stepper | PoolStepper, sequences: Sequence[TokenSequence], several_steps: bool = True
) -> tuple[list[Answer], list[str]]:
    server = InProcessServer(stepper)
    async with running(loop_over(server, stepper, several_steps)) as loop:
        return list(await asyncio.gather(*(answer(loop, s) for s in sequences))), server.calls


def sequence(name: str, params: SamplingParams, prompt: int = 5, count: int = 40) -> TokenSequence:
    mask = None if params.allowed_token_ids is None else pack(params.allowed_token_ids, VOCABULARY)
    ends = frozenset(params.stop_token_ids)
    ids = tuple(residents.ids(len(name), prompt).tolist())
    return TokenSequence(name, ids, count, params, ends, mask)


ASKED = {
    "plain": SamplingParams(seed=1),
    "presence": SamplingParams(temperature=0, presence_penalty=1.5, logprobs=2),
    "frequency": SamplingParams(seed=2, frequency_penalty=1),
    "repetition": SamplingParams(temperature=0, repetition_penalty=1.5),
    "bias": SamplingParams(seed=3, logit_bias=((7, 4.0), (9, -100.0)), logprobs=0),
    "mask": SamplingParams(seed=4, allowed_token_ids=tuple(range(40, 60)), logprobs=3),
    "least length": SamplingParams(seed=5, min_tokens=17, stop_token_ids=tuple(range(0, 300, 2))),
}


@pytest.mark.parametrize("several_steps", [True, False])
async def test_both_layouts_give_the_same_tokens_and_probabilities(
    pools: Path, explicit: Stepper, several_steps: bool
) -> None:
    resident_answers, calls = await answers(
        PoolStepper(pools), [sequence(name, params) for name, params in ASKED.items()]
    )
    explicit_answers, steps = await answers(
        explicit, [sequence(name, params) for name, params in ASKED.items()], several_steps
    )
    assert ("decode" in steps) == several_steps
    for one, other in zip(resident_answers, explicit_answers, strict=True):
        assert one[:2] == other[:2]
        for found, wanted in zip(one[2], other[2], strict=True):
            assert found.logprob == pytest.approx(wanted.logprob, abs=1e-3)
            assert [token for token, _ in found.top] == [token for token, _ in wanted.top]
    by_name = dict(zip(ASKED, resident_answers, strict=True))
    assert [len(by_name[name][2]) for name in ("plain", "presence", "bias", "mask")] == [0, 40, 40, 40]
    assert set(by_name["mask"][0]) <= set(range(40, 60))
    assert 9 not in by_name["bias"][0]
    assert sum(call.startswith("decode") for call in calls) < 30, "several steps a call"


async def test_int8_keys_and_values_give_each_request_of_a_crowd_what_it_gets_alone(
    int8_pools: Path,
) -> None:
    stepper = PoolStepper(int8_pools)
    together, calls = await answers(stepper, [sequence(name, params) for name, params in ASKED.items()])
    alone = [(await answers(stepper, [sequence(name, params)]))[0][0] for name, params in ASKED.items()]
    assert [each[:2] for each in together] == [each[:2] for each in alone]
    assert sum(call.startswith("decode") for call in calls) < 30, "several steps a call"


async def test_no_end_token_comes_before_the_least_length_and_one_may_right_after(pools: Path) -> None:
    ends = tuple(range(0, 300, 2))
    stepper = PoolStepper(pools)
    lengths = []
    for seed in range(8):
        params = SamplingParams(seed=seed, min_tokens=10, stop_token_ids=ends)
        ((ids, reason, _),), _ = await answers(stepper, [sequence("a", params)])
        assert not set(ids) & set(ends)
        assert reason is FinishReason.STOP
        lengths.append(len(ids))
    assert min(lengths) == 10
    assert max(lengths) < 40


async def test_a_row_with_nan_logits_fails_alone_and_leaves_no_nan_in_its_slot(broken: PoolStepper) -> None:
    """Its keys and values once stayed in the slot and broke the next sequence."""
    server = InProcessServer(broken)
    params = SamplingParams(seed=3, presence_penalty=0.5)
    async with running(loop_over(server, broken, several_steps=True)) as loop:
        stay = [asyncio.create_task(answer(loop, sequence("s" * n, params, 5, 50))) for n in (1, 2, 3)]
        goes = asyncio.create_task(answer(loop, sequence("goes", params, 30, 60)))
        with pytest.raises(TensorloomError, match="NaN"):
            await goes
        kept = [await task for task in stay]
        again = [replace(sequence("s", params, 5, 50), id=str(slot)) for slot in range(SLOTS)]
        after = await asyncio.gather(*(answer(loop, each) for each in again))
    assert all(len(ids) == 50 for ids, _, _ in kept)
    assert after == [kept[0]] * SLOTS


@pytest.fixture(scope="session", params=[FLOAT, INT8])
def broken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PoolStepper:
    """A model whose logits are NaN from the position BROKEN_POSITION on, by dtype of keys and values."""
    directory = samples.golden(tmp_path_factory.mktemp("golden") / "broken", "small")
    path = directory / "model.safetensors"
    tensors = load_file(path)
    tensors["transformer.wpe.weight"][BROKEN_POSITION] = np.nan
    save_file(tensors, path)
    options = ExportOptions("float32", "resident", block_size=residents.BLOCK_SIZE, keys_values=request.param)
    broken = load_checkpoint(directory, "broken", options)
    return PoolStepper(write.write(broken, tmp_path_factory.mktemp("models"), None, lambda _: None))
