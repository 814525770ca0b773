"""The ways to start the application: on several nodes, from a built file, on a running cluster."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from tests.deployments.decoder.arithmetic import continuation
from tests.e2e.application import ROOT, Application

pytestmark = pytest.mark.processes

ENVIRONMENT = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_application_runs_on_several_nodes(arithmetic_base):
    output = run(sys.executable, "-m", "tests.e2e.several_nodes", str(arithmetic_base))
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert result["status"] == 200
    # The text that the tokens add to the prompt's, so it has a space before the first token.
    expected = "".join(f" <{token}>" for token in continuation([1, 2], 4))
    assert result["body"]["choices"][0]["text"] == expected
    nodes = result["nodes"]
    assert set(nodes) == {"Ingress", "Tokenizer", "Detokenizer", "decoder-arithmetic"}
    assert nodes["Tokenizer"] != nodes["decoder-arithmetic"], nodes


def test_serve_build_writes_a_config_that_names_every_deployment(tmp_path):
    built = tmp_path / "built.yaml"
    run(
        str(Path(sys.executable).parent / "serve"),
        "build",
        "deployments.demo:app",
        "--output-path",
        str(built),
    )
    config = ServeDeploySchema.model_validate(yaml.safe_load(built.read_text()))
    deployments = {deployment.name for deployment in config.applications[0].deployments}
    assert deployments == {"Ingress", "Tokenizer", "Detokenizer", "decoder-tales-gpt", "decoder-tales-lstm"}


def test_a_killed_decoder_takes_its_servers_with_it_and_a_new_version_takes_over(arithmetic_base, tmp_path):
    base = tmp_path / "arithmetic"
    shutil.copytree(arithmetic_base, base)
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    models = [{"name": "arithmetic", "managed": {"base_path": str(base), "replicas": 2}}]
    config["applications"][0]["args"] = {"models": models}
    with Application(config, tmp_path) as application:
        orphans = application.model_servers("arithmetic")
        (decoder,) = application.replicas("decoder-arithmetic")
        decoder.kill()
        assert_all_end(orphans)
        application.wait_until_ready()

        publish(base, version=2)
        application.wait_until(lambda health: (health["models"]["arithmetic"] or {}).get("version") == 2)
        body = {"model": "arithmetic", "prompt": [1, 2], "max_tokens": 4, "temperature": 0}
        answer = httpx.post(f"{application.url}/v1/completions", json=body, timeout=60)
        assert answer.json()["choices"][0]["text"] == " <5> <11> <7> <15>"
        servers = application.model_servers("arithmetic")
        assert len(servers) == 2
    assert_all_end(servers)


def publish(base: Path, version: int) -> None:
    """Copies version 1 under another number, and renames it into place, as model servers expect."""
    shutil.copytree(base / "1", base / ".new")
    (base / ".new").rename(base / str(version))


def assert_all_end(processes: list[psutil.Process]) -> None:
    gone, alive = psutil.wait_procs(processes, timeout=30)
    assert (len(gone), alive) == (2, [])
