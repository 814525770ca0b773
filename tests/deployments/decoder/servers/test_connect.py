"""The decode loop on real model servers that are started, stopped and killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from contract.manifest import Manifest
from deployments.config import DecoderArgs, ExternalServer, ManagedServer, ModelArgs
from deployments.decoder.explicit.admission import ReservedAdmission
from deployments.decoder.explicit.engine import ExplicitEngine
from deployments.decoder.explicit.state_store import StateStore
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.sampling.token_mask import pack
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.connect import ConnectedServers, connect
from deployments.decoder.servers.supervisor import ManagedServerError
from deployments.errors import ModelServerUnavailable
from deployments.messages import SamplingParams, TokenChunk
from tests import servers
from tests.deployments.decoder.arithmetic import MANIFEST, STEP_BY_STEP, VOCABULARY, continuation

pytestmark = pytest.mark.processes

PROMPT = [1, 2, 3]
LONG = 400


@pytest.fixture
def base_path(arithmetic_base: Path) -> Path:
    return arithmetic_base


def managed(base_path: Path, replicas: int = 1, **decoder: float) -> ModelArgs:
    server = ManagedServer(
        base_path=base_path, replicas=replicas, binary=os.environ.get("TENSORFLOW_MODEL_SERVER")
    )
    return ModelArgs(name="arithmetic", managed=server, decoder=DecoderArgs(**decoder))


@asynccontextmanager
async def running(
    model: ModelArgs, manifest: Manifest = MANIFEST
) -> AsyncIterator[tuple[DecodeLoop, ConnectedServers]]:
    connected = await connect(model)
    scheduler = Scheduler(Limits(8, 16, 64, 32), ReservedAdmission(1 << 20, MANIFEST.state_bytes))
    loop = DecodeLoop(scheduler, ExplicitEngine(StateStore(manifest), connected.servers, 0.05), 0.05)
    task = asyncio.create_task(loop.run())
    try:
        yield loop, connected
    finally:
        task.cancel()
        await connected.close()


async def tokens_of(loop: DecodeLoop, count: int, name: str = "a") -> AsyncIterator[int]:
    greedy = SamplingParams(temperature=0)
    outbox = loop.submit(TokenSequence(name, tuple(PROMPT), count, greedy))
    while True:
        chunk = await outbox.take()
        for token in chunk.ids:
            yield token
        if chunk.finish is not None:
            return


ASKING = SamplingParams(
    temperature=1.5,
    top_p=0.95,
    seed=3,
    presence_penalty=0.5,
    frequency_penalty=0.25,
    repetition_penalty=1.2,
    logit_bias=((3, 2.0), (7, -1.0)),
    min_tokens=30,
    allowed_token_ids=tuple(range(15)),
    logprobs=3,
)


async def answer_of(loop: DecodeLoop, sampling: SamplingParams) -> list[TokenChunk]:
    """Returns all chunks that a client receives."""
    mask = None if sampling.allowed_token_ids is None else pack(sampling.allowed_token_ids, VOCABULARY)
    outbox = loop.submit(TokenSequence("a", tuple(PROMPT), 60, sampling, frozenset({0}), mask))
    chunks = [await outbox.take()]
    while chunks[-1].finish is None:
        chunks.append(await outbox.take())
    return chunks


@pytest.mark.parametrize("sampling", [SamplingParams(temperature=1.5, seed=3), ASKING])
async def test_text_and_log_probabilities_are_the_same_with_one_step_or_several_in_a_call(
    base_path, sampling
):
    answers = []
    for manifest in (MANIFEST, STEP_BY_STEP):
        async with running(managed(base_path), manifest) as (loop, _):
            answers.append(await answer_of(loop, sampling))
    several, single = ([token for chunk in answer for token in chunk.ids] for answer in answers)
    assert several == single
    assert len(several) > (30 if sampling is ASKING else 0)
    assert answers[0][-1].finish == answers[1][-1].finish
    logprobs = [[each for chunk in answer for each in chunk.logprobs or ()] for answer in answers]
    assert [[i for i, _ in each.top] for each in logprobs[0]] == [
        [i for i, _ in each.top] for each in logprobs[1]
    ]
    assert [each.logprob for each in logprobs[0]] == pytest.approx(
        [each.logprob for each in logprobs[1]], abs=1e-5
    )


def pids_of(connected: ConnectedServers) -> list[int]:
    assert connected.supervisor is not None
    return connected.supervisor.pids


async def test_a_managed_server_hands_over_its_manifest_and_runs_steps(base_path):
    async with running(managed(base_path)) as (loop, connected):
        assert connected.servable.manifest == MANIFEST
        assert [t async for t in tokens_of(loop, 20)] == continuation(PROMPT, 20)


@pytest.mark.parametrize("replicas", [1, 2])
async def test_killing_servers_in_mid_stream_neither_loses_nor_changes_a_token(base_path, replicas):
    async with running(managed(base_path, replicas)) as (loop, connected):
        tokens = []
        async for token in tokens_of(loop, LONG):
            tokens.append(token)
            if len(tokens) in (10, 200):
                os.kill(pids_of(connected)[0], signal.SIGKILL)
        assert tokens == continuation(PROMPT, LONG)
        while connected.servers.available < replicas:
            await asyncio.sleep(0.01)


async def test_a_server_that_hangs_costs_a_deadline_and_a_resend(base_path):
    async with running(managed(base_path, replicas=2, step_timeout_s=2.0)) as (loop, connected):
        stopped = pids_of(connected)[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert [t async for t in tokens_of(loop, 20)] == continuation(PROMPT, 20)
        finally:
            os.kill(stopped, signal.SIGCONT)


async def test_sequences_fail_with_503_when_no_server_comes_back_in_time(base_path):
    with servers.ModelServer("--model_name=arithmetic", f"--model_base_path={base_path}") as server:
        external = ExternalServer(addresses=(server.target,))
        model = ModelArgs(
            name="mine",
            external=external.model_copy(update={"model_name": "arithmetic"}),
            decoder=DecoderArgs(recovery_timeout_s=0.5),
        )
        async with running(model) as (loop, connected):
            assert connected.servable.id.model == "mine"
            assert [t async for t in tokens_of(loop, 5)] == continuation(PROMPT, 5)
            server.kill()
            with pytest.raises(ModelServerUnavailable, match=r"no model server answered for 0\.5 seconds"):
                [t async for t in tokens_of(loop, 5)]
            assert loop.scheduler.state_bytes == 0
            assert loop.engine.held == 0


async def test_external_servers_that_nobody_runs_are_named():
    external = ExternalServer(addresses=("unix:/tmp/nobody-listens-here.sock",))
    model = ModelArgs(name="m", external=external, decoder=DecoderArgs(recovery_timeout_s=0.3))
    with pytest.raises(ModelServerUnavailable, match=r"nobody-listens-here\.sock serve a version of m"):
        await connect(model)


async def test_a_base_path_without_versions_is_named(tmp_path):
    with pytest.raises(ManagedServerError, match=f"base_path {tmp_path} holds no version directory"):
        await connect(managed(tmp_path))


async def test_a_server_that_ends_while_it_starts_is_reported_with_its_status(base_path):
    server = ManagedServer(base_path=base_path, flags=("--no_such_flag=1",))
    with pytest.raises(ManagedServerError, match="ended with status"):
        await connect(ModelArgs(name="m", managed=server))


_PARENT = """
import asyncio, json, sys
from pathlib import Path
from deployments.config import ManagedServer
from deployments.decoder.servers.supervisor import Supervisor

async def main():
    supervisor = Supervisor(ManagedServer(base_path=Path(sys.argv[1]), replicas=2), "m")
    await supervisor.start()
    print(json.dumps(supervisor.pids), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_managed_servers_die_with_their_parent_even_when_it_is_killed(base_path):
    command = [sys.executable, "-c", _PARENT, str(base_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(pid) for pid in json.loads(parent.stdout.readline())]
        assert all(child.is_running() for child in children)
        parent.kill()
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert (len(gone), alive) == (2, [])
