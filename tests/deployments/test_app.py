"""The application, built from the arguments in `serve_config.yaml`."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError
from ray.serve import Application
from ray.serve._private.api import call_user_app_builder_with_args_if_necessary as built_as_serve_does

from deployments.app import build_app

MODEL = {"name": "tales", "external": {"addresses": ["localhost:8500"]}}


@pytest.mark.processes
def test_importing_the_application_leaves_tensorflow_out() -> None:
    check = "import deployments.app, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_serve_builds_it_from_plain_args() -> None:
    second = {"name": "other", "managed": {"base_path": "models/other"}}
    assert isinstance(built_as_serve_does(build_app, {"models": [MODEL, second]}), Application)


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ({"models": [MODEL], "modles": 1}, "modles"),
        ({"models": [{**MODEL, "decoder": {"max_batch": 3}}]}, "models.0.decoder.max_batch"),
        ({"models": [MODEL], "ingress": {"cpus": 1}}, "ingress.cpus"),
        ({"models": []}, "models"),
        ({"models": [MODEL, MODEL]}, "named twice: tales"),
        ({"models": [{"name": "tales"}]}, "needs either `managed` or `external`"),
    ],
)
def test_args_that_are_not_understood_are_named(args: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        built_as_serve_does(build_app, args)
    assert named in str(refusal.value)
