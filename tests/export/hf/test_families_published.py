"""One case of each family as it is served: written, loaded, and sampled in the graph."""

import numpy as np
import pytest

from contract import names
from contract.tensors import Ids
from export.hf.load import load_checkpoint
from export.options import ExportOptions
from export.saved_model import write
from export.verification.pool_stepper import PoolStepper, Sampling
from export.verification.stepper import Stepper
from tests.export import answers, samples
from tests.export.answers import Answers, Array
from tests.export.divergence import log_softmax
from tests.export.residents import BLOCK_SIZE, generate

TOLERANCE = 1e-4
SLOTS = 4


@pytest.fixture(scope="module", params=samples.plainest())
def golden_case(request: pytest.FixtureRequest) -> Answers:
    return answers.read(request.param)


@pytest.fixture(scope="module")
def pool(golden_case: Answers, tmp_path_factory: pytest.TempPathFactory) -> PoolStepper:
    base = tmp_path_factory.mktemp("models")
    directory = samples.seeded(base / "checkpoint", golden_case.name)
    servable = load_checkpoint(
        directory, golden_case.name, ExportOptions("float32", "resident", block_size=BLOCK_SIZE)
    )
    loaded = PoolStepper(write.write(servable, base, None, lambda _: None))
    loaded.claim(SLOTS)
    return loaded


def test_several_steps_with_explicit_state_choose_the_librarys_64_ids(
    golden_case: Answers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("models")
    directory = samples.seeded(base / "checkpoint", golden_case.name, shards=2)
    servable = load_checkpoint(directory, golden_case.name, ExportOptions())
    stepper = Stepper(write.write(servable, base, None, lambda _: None))
    beginning, expected = golden_case.beginning, golden_case.greedy.tolist()
    state = stepper.run([beginning])[0].state
    (decoded,) = stepper.decode(expected[:1], [state], [len(beginning)], [len(expected) - 1])
    assert expected[:1] + decoded.tokens == expected


@pytest.mark.parametrize("steps", [5, 63])
def test_several_steps_over_a_pool_choose_the_librarys_64_ids(
    pool: PoolStepper, golden_case: Answers, steps: int
) -> None:
    beginning, expected = golden_case.beginning, golden_case.greedy.tolist()
    chosen = pool.prefill([beginning], [0]).tolist()
    while len(chosen) < len(expected):
        budget = min(steps, len(expected) - len(chosen))
        chosen += pool.decode(chosen[-1:], [len(beginning) + len(chosen) - 1], [budget])[0].tolist()
    assert chosen == expected


def test_prefill_over_a_pool_gives_the_librarys_logprobs_at_every_position(
    pool: PoolStepper, golden_case: Answers
) -> None:
    given = _logprobs(pool, golden_case.prompt)
    assert np.abs(given - log_softmax(golden_case.logits)).max() <= TOLERANCE


def test_ragged_prompts_over_a_pool_continue_as_each_does_alone(
    pool: PoolStepper, golden_case: Answers
) -> None:
    together = generate(pool, golden_case.prompts, 4)
    assert together == [generate(pool, [prompt], 4)[0] for prompt in golden_case.prompts]
    assert [ids[0] for ids in together] == golden_case.lasts.argmax(axis=-1).tolist()


def _logprobs(pool: PoolStepper, ids: Ids) -> Array:  # (time, vocabulary)
    """Returns the log-probabilities of the whole vocabulary after each of `ids`."""
    size = pool.manifest.vocabulary_size
    answer = pool.prefill_outputs([ids], [0], [0], Sampling(logprobs=size), np.zeros((1, len(ids))))
    given = np.empty((len(ids), size), np.float32)
    np.put_along_axis(given, answer[names.TOP_IDS][0], answer[names.TOP_LOGPROBS][0], axis=1)
    return given
