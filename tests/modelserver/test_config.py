"""The models that flags and config files name, and the ones that are refused."""

from pathlib import Path

import pytest

from modelserver.config import ModelConfig, models_of_flags
from modelserver.errors import StatusError
from modelserver.flags import FlagError, parse
from modelserver.versions import All, Latest, Specific

PLATFORM = 'model_platform: "tensorflow"'


def models(tmp_path: Path, *entries: str, flags: tuple[str, ...] = ()) -> tuple[ModelConfig, ...]:
    path = tmp_path / "models.config"
    configs = "".join(f"config {{ {entry} }}\n" for entry in entries)
    path.write_text(f"model_config_list {{\n{configs}}}")
    return models_of_flags(parse([f"--model_config_file={path}", *flags]))


def test_one_model_can_be_named_on_the_command_line():
    (model,) = models_of_flags(parse(["--model_name=m", "--model_base_path=/m"]))
    assert model == ModelConfig("m", "/m", Latest(), {})


def test_a_file_names_models_policies_and_labels(tmp_path: Path):
    base = f'base_path: "/m" {PLATFORM}'
    policies = [
        "all {}",
        "latest { num_versions: 3 }",
        "latest {}",
        "specific { versions: 4 versions: 5 }",
    ]
    entries = [
        f'name: "m{i}" {base} model_version_policy {{ {policy} }}' for i, policy in enumerate(policies)
    ]
    found = [model.policy for model in models(tmp_path, *entries)]
    assert found == [All(), Latest(3), Latest(1), Specific(frozenset({4, 5}))]


def test_labels_at_the_start_need_the_flag_that_allows_them(tmp_path: Path):
    entry = f'name: "m" base_path: "/m" {PLATFORM} version_labels {{ key: "stable" value: 2 }}'
    with pytest.raises(StatusError, match="label to version 2 of model m, which is not currently available"):
        models(tmp_path, entry)
    (model,) = models(tmp_path, entry, flags=("--allow_version_labels_for_unavailable_models",))
    assert model.labels == {"stable": 2}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [f'name: "m" base_path: "/m" {PLATFORM}'] * 2,
            "Illegal to list model m multiple times in config list",
        ),
        (
            [f'name: "m" base_path: "a/b" {PLATFORM}'],
            r"Expected model m to have an absolute path or URI; got base_path\(\)=a/b",
        ),
        (
            ['name: "m" base_path: "/m"'],
            r"Illegal setting neither ModelServerConfig::model_type \(deprecated\) nor "
            "ModelServerConfig::model_platform, model name is m",
        ),
        (['name: "m" base_path: "/m" model_platform: "onnx"'], "platform onnx is not tensorflow"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused(tmp_path: Path, entries: list[str], message: str):
    with pytest.raises(StatusError, match=message):
        models(tmp_path, *entries)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    missing = tmp_path / "none"
    with pytest.raises(FlagError, match=f"--model_config_file={missing}"):
        models_of_flags(parse([f"--model_config_file={missing}"]))
    broken = tmp_path / "broken"
    broken.write_text("model_config_list {")
    with pytest.raises(FlagError, match=f"--model_config_file={broken}"):
        models_of_flags(parse([f"--model_config_file={broken}"]))


def test_some_model_is_needed():
    with pytest.raises(FlagError, match="--model_base_path or --model_config_file"):
        models_of_flags(parse([]))
