"""An export with int8 weights: written, verified, inspected and served."""

from pathlib import Path

import numpy as np
import pytest

from contract import names
from export import cli
from export.hf.load import load_checkpoint
from export.options import INT8, ExportOptions
from export.saved_model import write
from export.saved_model.published import PublishedVersion
from export.verification.pool_stepper import GREEDY, PoolStepper
from tests.export import residents, samples
from tests.modelserver.client import Client, request
from tests.servers import ModelServer


@pytest.mark.parametrize("layout", ["explicit", "resident"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_is_verified_with_a_bound_of_its_own(
    layout: str, dtype: str, gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    argv = [str(gpt2_checkpoint), "--out", str(models), "--state", layout, "--dtype", dtype]
    assert cli.main(["hf", *argv, "--weights", "int8"]) == 0
    capsys.readouterr()
    assert cli.main(["verify", str(models / "gpt2"), "--reference", str(gpt2_checkpoint)]) == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].split() == ["allowed", "any", "2.5e-01"]
    assert cli.main(["inspect", str(models / "gpt2")]) == 0
    assert "(int8, " in capsys.readouterr().out


@pytest.mark.parametrize("weights", ["float", "int8"])
def test_int8_keys_and_values_are_verified_with_that_bound(
    weights: str, gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    argv = [str(gpt2_checkpoint), "--out", str(models), "--weights", weights, "--keys-values", "int8"]
    assert cli.main(["hf", *argv]) == 0
    version = PublishedVersion(models / "gpt2" / "1")
    assert (version.quantized, version.int8_keys_values) == (weights == "int8", True)
    capsys.readouterr()
    assert cli.main(["verify", str(models / "gpt2"), "--reference", str(gpt2_checkpoint)]) == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].split() == ["allowed", "any", "2.5e-01"]
    assert cli.main(["hf", *argv, "--max-kl", "1e-12"]) == 1


def test_every_matrix_takes_a_byte_for_a_weight(gpt2_checkpoint: Path, tmp_path: Path) -> None:
    model = load_checkpoint(gpt2_checkpoint, "tiny", ExportOptions("bfloat16", weights=INT8))
    version = PublishedVersion(write.write(model, tmp_path, None, lambda _: None))
    positions = (samples.GPT2["n_positions"], samples.GPT2["n_embd"])
    matrices = {(w.dtype, w.shape) for w in version.weights if len(w.shape) > 1}
    assert {dtype for dtype, shape in matrices if shape != positions} == {"int8"}
    assert version.quantized
    assert all(not weight.numpy().size for weight in model.weights), "freed once they are written"


@pytest.mark.processes
def test_a_model_server_gives_the_same_tokens_as_the_exporter(gpt2_checkpoint: Path, tmp_path: Path) -> None:
    options = ExportOptions(
        "bfloat16", "resident", block_size=residents.BLOCK_SIZE, weights=INT8, keys_values=INT8
    )
    written = write.write(load_checkpoint(gpt2_checkpoint, "m", options), tmp_path, None, lambda _: None)
    prompt = np.arange(20, dtype=np.int32)
    stepper = PoolStepper(written)
    stepper.claim(2)
    expected = stepper.prefill([prompt], [0])
    with (
        ModelServer("--model_name=m", f"--model_base_path={written.parent}") as server,
        Client(server) as client,
    ):
        slots = np.full(stepper.pool.blocks, 2, np.int32)
        client.predict(request("m", "claim", epoch=np.int64(1), slots=slots))
        answer = client.predict(
            request(
                "m",
                "prefill",
                epoch=np.int64(1),
                tokens=prompt[None],
                lengths=np.array([len(prompt)], np.int32),
                slots=np.zeros(1, np.int32),
                starts=np.zeros(1, np.int32),
                last_tokens=np.zeros(0, np.int32),
                positions=np.zeros(0, np.int32),
                **GREEDY.feeds(np.zeros((1, 1))),
            )
        )
    np.testing.assert_array_equal(answer[names.TOKENS][:, 0], expected)
