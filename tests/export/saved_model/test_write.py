"""A version appears whole and checked, or not at all."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from contract.manifest import Manifest
from export import lstm
from export.errors import VerificationError, VersionError
from export.saved_model import write
from export.saved_model.published import PublishedVersion
from export.signatures.servable import ExportedModel
from export.verification import verify
from export.verification.stepper import Stepper


@pytest.fixture
def servable(lstm_checkpoint: Path) -> ExportedModel:
    return lstm.load(lstm_checkpoint, "tiny")


def test_versions_count_up_from_one(servable: ExportedModel, tmp_path: Path) -> None:
    first = write.write(servable, tmp_path / "models", None, lambda _: None)
    second = write.write(servable, tmp_path / "models", None, lambda _: None)
    assert (first.name, second.name) == ("1", "2")


def test_the_next_version_follows_the_highest(tmp_path: Path) -> None:
    for name in ("3", "11", "notes"):
        (tmp_path / name).mkdir()
    assert write.target_of(tmp_path, None).name == "12"


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    with pytest.raises(VersionError, match=r"^version 3 exists already: .*/3$"):
        write.target_of(tmp_path, 3)


def test_a_version_is_a_positive_number(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match="version 0 must be at least 1"):
        write.target_of(tmp_path, 0)


def test_while_it_is_checked_no_server_sees_the_version(servable: ExportedModel, tmp_path: Path) -> None:
    seen: list[str] = []
    write.write(servable, tmp_path, None, lambda path: seen.extend(p.name for p in path.parent.iterdir()))
    assert seen
    assert all(name.startswith(".partial-") for name in seen)


def test_a_failed_verification_leaves_nothing_behind(servable: ExportedModel, tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise VerificationError("no")

    with pytest.raises(VerificationError):
        write.write(servable, tmp_path / "models", None, fail)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_version_published_meanwhile_is_not_replaced(servable: ExportedModel, tmp_path: Path) -> None:
    def publish_another(path: Path) -> None:
        (path.parent / "1").mkdir()
        (path.parent / "1" / "other").touch()

    with pytest.raises(VersionError, match="version 1 cannot be published"):
        write.write(servable, tmp_path, None, publish_another)
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["1"]
    assert (tmp_path / "tiny" / "1" / "other").exists()


def test_manifest_and_tokenizer_travel_inside(servable: ExportedModel, tmp_path: Path) -> None:
    directory = write.write(servable, tmp_path, None, lambda _: None)
    answer = tf.saved_model.load(str(directory)).signatures["manifest"]()
    assert Manifest.from_json(answer["manifest"].numpy()) == servable.manifest
    assert answer["tokenizer"].numpy() == servable.tokenizer


def test_a_written_servable_needs_no_file_of_its_checkpoint(servable: ExportedModel, tmp_path: Path) -> None:
    before = write.write(servable, tmp_path / "models", None, lambda _: None)
    moved = before.rename(tmp_path / "elsewhere")
    for path in (tmp_path / "lstm").iterdir():
        path.unlink()
    verify.verify_version(PublishedVersion(moved), servable.reference, verify.VerificationOptions()).check()


def test_steps_of_every_size_share_one_signature(servable: ExportedModel, tmp_path: Path) -> None:
    stepper = Stepper(write.write(servable, tmp_path, None, lambda _: None))
    for rows in (1, 3):
        assert len(stepper.run([np.zeros(4, np.int32)] * rows)) == rows
