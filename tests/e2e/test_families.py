"""Model families in the whole application: clients get what the transformers library generates."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tokenizers import Tokenizer

from tests.e2e.application import ROOT, Application
from tests.e2e.client import complete, open_client, stream
from tests.export import answers, samples

pytestmark = pytest.mark.processes

CASES = ("llama-plain", "gemma2-plain")
LENGTHS = (1, 3, 7, 20, 33, 64, 100, 130)
"""The lengths of prompts that are requested at the same time."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module")
def families(directory: Path) -> Iterator[Application]:
    """An application with a servable of each case."""
    with ThreadPoolExecutor() as exports:
        bases = exports.map(partial(export, directory), CASES)
    models = [{"name": base.name, "managed": {"base_path": str(base)}} for base in bases]
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["args"] = {"models": models}
    with Application(config, directory) as application:
        yield application


def export(directory: Path, case: str) -> Path:
    """Exports the servable of a golden case with the command line."""
    checkpoint, models = samples.seeded(directory / case, case), directory / "models"
    command = [sys.executable, "-m", "export", "hf", str(checkpoint), "--out", str(models)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return models / case


@pytest.fixture
async def client(families: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(families.url) as client:
        yield client


def greedy(case: str, prompt: answers.Ids) -> dict[str, Any]:
    """Returns a greedy request for as many tokens as the golden files have."""
    options = {"max_tokens": 64, "temperature": 0, "ignore_eos": True}
    return {"model": case, "prompt": prompt.tolist(), **options}


@pytest.mark.parametrize("case", CASES)
async def test_greedy_text_is_what_the_library_generates(case, client, directory):
    golden, tokenizer = answers.read(case), Tokenizer.from_file(str(directory / case / "tokenizer.json"))
    body = greedy(case, golden.beginning)
    response = await client.post("/v1/completions", json=body | {"logprobs": 0})
    (choice,) = response.json()["choices"]
    assert choice["logprobs"]["tokens"] == [tokenizer.id_to_token(i) for i in golden.greedy]
    assert choice["text"] == tokenizer.decode(golden.greedy)
    assert (await stream(client, **body)).text == choice["text"]


@pytest.mark.parametrize("case", CASES)
async def test_8_requests_at_once_get_what_each_gets_alone(case, client):
    prompt = answers.read(case).prompt
    bodies = [greedy(case, prompt[:length]) for length in LENGTHS]
    alone = [await complete(client, **body) for body in bodies]
    assert len({answer.text for answer in alone}) > 1
    assert await asyncio.gather(*(stream(client, **body) for body in bodies)) == alone
