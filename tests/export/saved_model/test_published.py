"""`export verify` and `export inspect` of what lies in a version directory."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from export import cli, lstm
from export.errors import SourceError
from export.saved_model import versions
from export.saved_model.published import PublishedVersion, SignatureTensor
from tests.export import samples

RunCommand = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> RunCommand:
    """Runs a command; returns its status, stdout and stderr."""

    def ran(*argv: object) -> tuple[int, str, str]:
        status = cli.main([*map(str, argv)])
        printed = capfd.readouterr()
        return status, printed.out, printed.err

    return ran


@pytest.fixture(scope="session")
def lstm_servable(lstm_published: Path) -> Path:
    """BASE/NAME."""
    return lstm_published.parent


def test_a_servable_is_compared_with_the_checkpoint_that_it_was_made_from(
    run: RunCommand, pools: Path, lstm_servable: Path, lstm_checkpoint: Path, tmp_path: Path
) -> None:
    source = samples.golden(tmp_path / "small", "small")
    for servable, reference in ((pools.parent, source), (lstm_servable, lstm_checkpoint)):
        status, printed, _ = run("verify", servable, "--reference", reference, "--tokens", 5)
        assert status == 0
        assert printed.startswith(f"{servable / '1'}: prompts of 1, 7, ")
        assert "\nreference " in printed
        assert "5 greedy ones after each" in printed


def test_another_checkpoint_of_the_same_shape_fails_after_the_table(
    run: RunCommand, lstm_servable: Path, tmp_path: Path
) -> None:
    shapes = lstm.shapes(samples.LSTM_CONFIG)
    other = samples.write(tmp_path / "other", samples.LSTM, shapes, seed=1)
    status, printed, error = run("verify", lstm_servable / "1", "--reference", other)
    assert status == 1
    assert "\nreference " in printed
    assert error.startswith("error: reference: max abs error ")
    bounds = ("--max-error", 1000, "--max-kl", 1000)
    assert run("verify", lstm_servable, "--reference", other, *bounds)[0] == 0


def test_without_a_reference_a_servable_is_held_against_itself(run: RunCommand, lstm_servable: Path) -> None:
    status, printed, _ = run("verify", lstm_servable)
    assert status == 0
    assert "reference" not in printed
    assert "ragged batch" in printed


def test_a_reference_of_another_vocabulary_is_refused(
    run: RunCommand, pools: Path, lstm_checkpoint: Path
) -> None:
    status, _, error = run("verify", pools, "--reference", lstm_checkpoint)
    assert status == 1
    assert error == f"error: {lstm_checkpoint} has a vocabulary of 260, the servable one of 300\n"


def test_of_several_versions_the_latest_is_meant(lstm_servable: Path, tmp_path: Path) -> None:
    for version in ("2", "10", "9"):
        shutil.copytree(lstm_servable / "1", tmp_path / "m" / version)
    (tmp_path / "m" / "11").mkdir()
    assert versions.find(tmp_path / "m").name == "10"
    assert versions.find(tmp_path / "m" / "9").name == "9"


def test_a_path_without_a_servable_is_named(run: RunCommand, tmp_path: Path) -> None:
    status, _, error = run("inspect", tmp_path / "none")
    assert status == 1
    assert error.startswith(f"error: {tmp_path / 'none'} is no servable: there is neither ")


def test_a_file_that_is_no_saved_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_text("nothing of the kind")
    with pytest.raises(SourceError, match=r"saved_model\.pb is not a SavedModel"):
        PublishedVersion(tmp_path)


def test_a_report_shows_the_manifest_sizes_memory_and_signatures(run: RunCommand, pools: Path) -> None:
    status, printed, _ = run("inspect", pools.parent)
    assert status == 0
    lines = {" ".join(line.split()) for line in printed.splitlines()}
    block = 2 * 2 * 32 * 32 * 4  # layers, keys and values, positions, width, bytes
    assert lines >= {
        str(pools),
        "family gpt2",
        "context 160 tokens",
        "state resident",
        f"a block {block // 1024} KiB for 32 tokens",
        f"a session of 160 tokens {5 * block // 1024} KiB",
        "in positions int32 (?)",
        "out top_ids int32 (?, ?, ?)",
    }


def test_a_report_lists_the_tensors_of_explicit_state(run: RunCommand, lstm_servable: Path) -> None:
    lines = {" ".join(line.split()) for line in run("inspect", lstm_servable)[1].splitlines()}
    assert lines >= {
        "a token 0 bytes",
        "a session, before its first token 320 bytes",
        "h_0 float32 [20]",
        "a session of 256 tokens 320 bytes",
        "in h_0 float32 (?, 20)",
        "out logits float32 (?, 260)",
        "chat template none",
    }


def test_sizes_of_tensors_are_shown_where_they_are_fixed() -> None:
    assert str(SignatureTensor("x", "int32", (None, 3))) == "x int32 (?, 3)"
    assert str(SignatureTensor("x", "int32", None)) == "x int32 (any)"
