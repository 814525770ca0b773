"""Each failure of an export ends with status 1 and one line that names the cause."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export import cli
from export.hf.families import FAMILIES
from export.hf.load import load_checkpoint
from export.options import ExportOptions
from tests.export import samples

RunFailing = Callable[..., str]


@pytest.fixture
def failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> RunFailing:
    """Runs an export that fails; returns its error line."""

    def run(*argv: object) -> str:
        assert cli.main([*map(str, argv), "--out", str(tmp_path / "models")]) == 1
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())
        return lines[0]

    return run


def _tensor(directory: Path, name: str, value: np.ndarray | None) -> None:
    path = directory / "model.safetensors"
    tensors = load_file(path)
    tensors.pop(name, None)
    if value is not None:
        tensors[name] = value
    save_file(tensors, path)


@pytest.mark.parametrize(("kind", "checkpoint"), [("hf", "gpt2_checkpoint"), ("lstm", "lstm_checkpoint")])
def test_an_export_is_published_under_its_name(
    kind: str, checkpoint: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = str(request.getfixturevalue(checkpoint))
    argv = [kind, source, "--out", str(tmp_path / "models"), "--name", "mine", "--version", "7"]
    assert cli.main(argv) == 0
    assert (tmp_path / "models" / "mine" / "7" / "saved_model.pb").exists()


def test_the_name_is_the_directorys_by_default(lstm_checkpoint: Path, tmp_path: Path) -> None:
    assert cli.main(["lstm", str(lstm_checkpoint), "--out", str(tmp_path / "models")]) == 0
    assert (tmp_path / "models" / "lstm" / "1").is_dir()


def test_a_directory_that_is_not_there(failure: RunFailing, tmp_path: Path) -> None:
    assert failure("hf", tmp_path / "none").endswith("none is not a directory")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file(file: str, failure: RunFailing, gpt2_checkpoint: Path) -> None:
    (gpt2_checkpoint / file).unlink()
    assert failure("hf", gpt2_checkpoint) == f"error: {gpt2_checkpoint / file} is missing"


def test_a_missing_shard(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    index = {"weight_map": {"wte.weight": "model-00001-of-00002.safetensors"}}
    (gpt2_checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    assert failure("hf", gpt2_checkpoint).endswith("model-00001-of-00002.safetensors is missing")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_is_not_what_it_claims(file: str, failure: RunFailing, gpt2_checkpoint: Path) -> None:
    (gpt2_checkpoint / file).write_text("{")
    assert f"{file} is not" in failure("hf", gpt2_checkpoint)


def test_another_model_type_lists_the_supported(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    samples.edit(gpt2_checkpoint, "config.json", model_type="bert")
    supported = ", ".join(FAMILIES)
    message = failure("hf", gpt2_checkpoint)
    assert message.endswith(f"model_type 'bert' is not supported; supported: {supported}")


def test_an_unknown_key_is_refused_unless_it_is_ignored(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    samples.edit(gpt2_checkpoint, "config.json", new_trick=3)
    assert "new_trick = 3 is not known for this model_type" in failure("hf", gpt2_checkpoint)
    assert (
        load_checkpoint(gpt2_checkpoint, "tiny", ExportOptions(ignored=["new_trick"])).manifest.name == "tiny"
    )


def test_quantized_weights_are_refused_even_if_the_key_is_ignored(
    failure: RunFailing, gpt2_checkpoint: Path
) -> None:
    samples.edit(gpt2_checkpoint, "config.json", quantization_config={"quant_method": "gptq"})
    message = failure("hf", gpt2_checkpoint, "--ignore", "quantization_config")
    assert "the weights are quantized ({'quant_method': 'gptq'})" in message


def test_query_heads_that_cannot_share_key_heads_evenly(failure: RunFailing, tmp_path: Path) -> None:
    directory = samples.seeded(tmp_path / "llama", "llama-plain")
    samples.edit(directory, "config.json", num_key_value_heads=3)
    assert "2 query heads cannot share 3 key heads evenly" in failure("hf", directory)


@pytest.mark.parametrize("context", [0, 65])
def test_a_context_that_the_checkpoint_was_not_made_for(
    context: int, failure: RunFailing, gpt2_checkpoint: Path
) -> None:
    message = f"context {context} is not between 1 and the 64 tokens of the checkpoint"
    assert message in failure("hf", gpt2_checkpoint, "--context", context)


def test_a_shorter_context_needs_fewer_positions(gpt2_checkpoint: Path) -> None:
    assert load_checkpoint(gpt2_checkpoint, "tiny", ExportOptions(context=40)).manifest.context_length == 40


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("activation_function", "tanh"),
        ("add_cross_attention", True),
    ],
)
def test_a_setting_that_is_not_implemented(
    key: str, value: object, failure: RunFailing, gpt2_checkpoint: Path
) -> None:
    samples.edit(gpt2_checkpoint, "config.json", **{key: value})
    assert f"{key} = {value!r} is not implemented" in failure("hf", gpt2_checkpoint)


@pytest.mark.parametrize("value", [None, 0, "24", 2.5, True])
def test_a_size_that_is_no_positive_integer(
    value: object, failure: RunFailing, gpt2_checkpoint: Path
) -> None:
    samples.edit(gpt2_checkpoint, "config.json", n_embd=value)
    assert f"n_embd must be a positive integer, not {value!r}" in failure("hf", gpt2_checkpoint)


def test_heads_that_do_not_divide_the_width(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    samples.edit(gpt2_checkpoint, "config.json", n_head=5)
    assert "n_embd = 24 is not a multiple of n_head = 5" in failure("hf", gpt2_checkpoint)


def test_a_tensor_of_another_shape(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    _tensor(gpt2_checkpoint, "h.1.mlp.c_fc.weight", np.zeros((24, 95), np.float32))
    message = "tensor h.1.mlp.c_fc.weight has shape (24, 95); the configuration asks for (24, 96)"
    assert failure("hf", gpt2_checkpoint).endswith(message)


def test_a_missing_tensor(failure: RunFailing, lstm_checkpoint: Path) -> None:
    _tensor(lstm_checkpoint, "lstm.1.bias", None)
    assert failure("lstm", lstm_checkpoint).endswith("tensor lstm.1.bias is missing")


def test_a_layer_more_than_configured(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    _tensor(gpt2_checkpoint, "h.2.ln_1.weight", np.ones(24, np.float32))
    assert "tensor h.2.ln_1.weight has no place in the configured model" in failure("hf", gpt2_checkpoint)


def test_a_vocabulary_smaller_than_the_tokenizers(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    samples.edit(gpt2_checkpoint, "config.json", vocab_size=255)
    _tensor(gpt2_checkpoint, "wte.weight", np.zeros((255, 24), np.float32))
    assert failure("hf", gpt2_checkpoint).endswith(
        "gives ids up to 255, but the model's vocabulary has 255 entries"
    )


def test_a_special_token_outside_the_vocabulary(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    samples.edit(gpt2_checkpoint, "generation_config.json", eos_token_id=50256)
    assert "special token id 50256 is outside the vocabulary" in failure("hf", gpt2_checkpoint)


def test_int8_keys_and_values_need_a_pool(failure: RunFailing, gpt2_checkpoint: Path) -> None:
    message = failure("hf", gpt2_checkpoint, "--state", "explicit", "--keys-values", "int8")
    assert message.endswith("--keys-values int8 needs --state resident")


def test_models_without_a_pool_have_no_option_for_keys_and_values(lstm_checkpoint: Path) -> None:
    with pytest.raises(SystemExit):
        cli.main(["lstm", str(lstm_checkpoint), "--keys-values", "int8"])


def test_a_version_that_exists(
    lstm_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = ["lstm", str(lstm_checkpoint), "--out", str(tmp_path / "models"), "--version", "1"]
    assert cli.main(argv) == 0
    assert cli.main(argv) == 1
    assert "error: version 1 exists already" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a b"])
def test_a_name_that_is_no_directory(name: str, failure: RunFailing, lstm_checkpoint: Path) -> None:
    assert f"{name!r} cannot be a model's name" in failure("lstm", lstm_checkpoint, "--name", name)


def test_no_version_is_left_by_a_failed_verification(
    failure: RunFailing, lstm_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.verification.verify.tolerance", lambda _: -1.0)
    assert "reference: max abs error" in failure("lstm", lstm_checkpoint)


@pytest.mark.parametrize("bound", ["--max-error", "--max-kl"])
def test_the_bounds_of_the_verification_are_those_of_the_command(
    failure: RunFailing, lstm_checkpoint: Path, bound: str
) -> None:
    """They were read, and had no effect on exports."""
    assert "reference: " in failure("lstm", lstm_checkpoint, bound, "1e-300")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nocolon", "'nocolon' is not of the form module:function"),
        ("no.such.module:f", "module no.such.module cannot be imported"),
        ("json:nothing", "module json has no function nothing"),
        ("gc:get_count", "gc:get_count must return an export.keras.UserModel, not tuple"),
    ],
)
def test_a_source_that_is_no_user_model(source: str, message: str, failure: RunFailing) -> None:
    assert message in failure("keras", source)
