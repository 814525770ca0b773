"""Every family against the transformers library (golden files), with explicit state."""

from pathlib import Path

import numpy as np
import pytest

from export.hf.load import load_checkpoint
from export.options import FLOAT, INT8, ExportOptions
from export.verification.stepper import StepResult
from tests.export import answers, bfloat16, int8, samples
from tests.export.answers import Answers
from tests.export.traced import TracedStepper

TOLERANCE = 1e-4
BFLOAT16_LOSSES = 4
"""The divergence from the library's bfloat16 that is allowed, in units of the library's own loss."""


@pytest.fixture(scope="module", params=samples.cases())
def golden_case(request: pytest.FixtureRequest) -> Answers:
    return answers.read(request.param)


@pytest.fixture(scope="module")
def stepper(golden_case: Answers, tmp_path_factory: pytest.TempPathFactory) -> TracedStepper:
    directory = samples.seeded(tmp_path_factory.mktemp("case") / golden_case.name, golden_case.name)
    return TracedStepper(
        load_checkpoint(directory, golden_case.name, ExportOptions(context=golden_case.context))
    )


@pytest.fixture(scope="module")
def beginnings(stepper: TracedStepper, golden_case: Answers) -> list[StepResult]:
    """The results after each prefix of the prompt, all computed in one call."""
    return stepper.run([golden_case.prompt[: n + 1] for n in range(len(golden_case.prompt))])


def test_prefill_gives_the_librarys_logits_at_every_position(
    beginnings: list[StepResult], golden_case: Answers
) -> None:
    given = np.stack([result.logits for result in beginnings])
    assert np.abs(given - golden_case.logits).max() <= TOLERANCE


def test_one_more_token_gives_the_librarys_logits_after_any_past(
    stepper: TracedStepper, beginnings: list[StepResult], golden_case: Answers
) -> None:
    tokens = [golden_case.prompt[n : n + 1] for n in range(1, len(golden_case.prompt))]
    given = stepper.run(tokens, [result.state for result in beginnings[:-1]])
    logits = np.stack([result.logits for result in given])
    assert np.abs(logits - golden_case.logits[1:]).max() <= TOLERANCE


def test_greedy_decoding_chooses_the_librarys_64_ids(stepper: TracedStepper, golden_case: Answers) -> None:
    expected = golden_case.greedy.tolist()
    assert stepper.greedy(golden_case.beginning, len(expected)) == expected


def test_rows_with_ragged_pasts_and_prompts_give_what_each_gives_alone(
    stepper: TracedStepper, beginnings: list[StepResult], golden_case: Answers
) -> None:
    middles = [len(prompt) // 2 for prompt in golden_case.prompts]
    pasts = [beginnings[middle - 1].state if middle else stepper.fresh() for middle in middles]
    rests = [prompt[middle:] for prompt, middle in zip(golden_case.prompts, middles, strict=True)]
    together = np.stack([result.logits for result in stepper.run(rests, pasts)])
    alone = np.stack([stepper.run([prompt])[0].logits for prompt in golden_case.prompts])
    assert np.abs(together - alone).max() <= TOLERANCE
    assert np.abs(together - golden_case.lasts).max() <= TOLERANCE


@pytest.mark.parametrize("case", bfloat16.CASES)
def test_bfloat16_is_near_to_the_librarys(case: str, tmp_path: Path) -> None:
    assert bfloat16.divergence_of(case, tmp_path) <= BFLOAT16_LOSSES * answers.read(case).bfloat16_kl


@pytest.mark.parametrize("case", int8.CASES)
def test_int8_weights_stay_near_to_the_librarys_float32(case: str, tmp_path: Path) -> None:
    kl, agreement = int8.accuracy_of(case, tmp_path)
    assert kl <= int8.allowed_kl(case)
    assert agreement >= 0.9


@pytest.mark.parametrize("case", int8.CASES)
def test_int8_keys_and_values_lose_about_as_much_as_bfloat16(case: str, tmp_path: Path) -> None:
    kl, agreement = int8.accuracy_of(case, tmp_path, FLOAT, INT8)
    assert kl <= int8.allowed_kl(case, FLOAT)
    assert agreement >= 0.9


@pytest.mark.parametrize("case", ["gpt2-plain", "llama-plain"])
def test_int8_weights_keep_their_bound_with_int8_keys_and_values(case: str, tmp_path: Path) -> None:
    assert int8.accuracy_of(case, tmp_path, INT8, INT8).kl <= int8.allowed_kl(case)
