"""The files that operators start from are what Ray and TensorFlow Serving take."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import text_format
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.schema import ServeDeploySchema

from contract.stubs import model_server_config_pb2
from deployments.config import AppArgs

ROOT = Path(__file__).parent.parent
SERVE_CONFIGS = ["serve_config.yaml", "cluster/serve_config.yaml"]


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def app_args(path: str) -> AppArgs:
    return AppArgs.model_validate(read(path)["applications"][0]["args"])


def test_the_cluster_file_is_valid_by_rays_own_schema():
    config = prepare_config(read("cluster.yaml"))
    validate_config(config)
    assert set(config["available_node_types"]) == {"head", "worker"}


def test_every_node_of_the_cluster_runs_the_real_model_server():
    commands = "\n".join(read("cluster.yaml")["setup_commands"])
    assert "tensorflow/serving:" in commands
    assert "--model_config_file=/etc/tensorloom/models.config" in commands


@pytest.mark.parametrize("path", SERVE_CONFIGS)
def test_serve_configs_are_valid_for_serve_and_for_the_application(path):
    ServeDeploySchema.model_validate(read(path))
    assert {model.name for model in app_args(path).models} == {"tales-gpt", "tales-lstm"}


def test_the_clusters_model_servers_load_what_its_application_serves():
    config = text_format.Parse(
        (ROOT / "cluster/models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    loaded = {model.name for model in config.model_config_list.config}
    assert loaded == {model.name for model in app_args("cluster/serve_config.yaml").models}


def test_unknown_keys_fail_with_their_name():
    with pytest.raises(ValueError, match=r"(?s)models\.0\.decoder\.max_batchsize.*Extra inputs"):
        AppArgs.model_validate(
            {
                "models": [
                    {"name": "m", "external": {"addresses": ["a:1"]}, "decoder": {"max_batchsize": 3}},
                ]
            }
        )


def test_a_model_has_either_managed_or_external_servers():
    with pytest.raises(ValueError, match="model 'm' needs either `managed` or `external`, and not both"):
        AppArgs.model_validate({"models": [{"name": "m"}]})
