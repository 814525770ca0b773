"""The models to serve, read from the flags or from a ModelServerConfig file, and checked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from contract.stubs import model_server_config_pb2
from modelserver.errors import failed_precondition, invalid
from modelserver.flags import FlagError, Flags
from modelserver.versions import All, Latest, Specific, VersionPolicy

_PLATFORM = "tensorflow"


@dataclass(frozen=True)
class ModelConfig:
    """One model to serve."""

    name: str
    base_path: str
    """The directory that holds the version directories."""
    policy: VersionPolicy = field(default_factory=Latest)
    labels: dict[str, int] = field(default_factory=dict)
    """Label -> version number."""


def models_of_flags(flags: Flags) -> tuple[ModelConfig, ...]:
    """Returns the models that the flags name; FlagError or StatusError if they are not valid."""
    if flags.model_config_file:
        models = _models_of_file(flags.model_config_file)
    elif flags.model_base_path:
        models = (ModelConfig(flags.model_name, flags.model_base_path),)
    else:
        raise FlagError("--model_base_path or --model_config_file must be set")
    _check_labels(models, flags)
    return models


def _check_labels(models: tuple[ModelConfig, ...], flags: Flags) -> None:
    """Raises StatusError for a label: no version is loaded yet, so labels need the flag that allows them."""
    if flags.allow_version_labels_for_unavailable_models:
        return
    for model in models:
        for version in model.labels.values():
            raise failed_precondition(
                f"Request to assign label to version {version} of model {model.name}, "
                "which is not currently available for inference"
            )


def _models_of_file(path: str) -> tuple[ModelConfig, ...]:
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(Path(path).read_text(), config)
    except (OSError, text_format.ParseError) as error:
        raise FlagError(f"--model_config_file={path}: {error}") from None
    return models_of_config(config)


def models_of_config(config: Any) -> tuple[ModelConfig, ...]:
    """Returns the models of a ModelServerConfig; StatusError if one is not valid."""
    if config.WhichOneof("config") != "model_config_list":
        raise invalid("Only ModelConfigList is currently supported")
    models = tuple(_model(entry) for entry in config.model_config_list.config)
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)
    return models


def _model(entry: Any) -> ModelConfig:
    _check_platform(entry)
    if not Path(entry.base_path).is_absolute():
        raise invalid(
            f"Expected model {entry.name} to have an absolute path or URI; got base_path()={entry.base_path}"
        )
    policy = _policy(entry.model_version_policy)
    return ModelConfig(entry.name, entry.base_path, policy, dict(entry.version_labels))


def _check_platform(entry: Any) -> None:
    if not entry.model_platform and not entry.model_type:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {entry.name}"
        )
    if entry.model_platform not in ("", _PLATFORM):
        raise invalid(f"model {entry.name}: platform {entry.model_platform} is not {_PLATFORM}")


def _policy(proto: Any) -> VersionPolicy:
    kind = proto.WhichOneof("policy_choice")
    if kind == "all":
        return All()
    if kind == "specific":
        return Specific(frozenset(proto.specific.versions))
    return Latest(proto.latest.num_versions or 1)
