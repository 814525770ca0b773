"""An export's time and memory, phase by phase, and the checkpoint that is exported."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from bench.export import Export, Phase, ProcessSample, phase_of, phases, render
from bench.random_model import llama

LOG = "reading x\ncontext: 10 tokens\ntracing m\nwriting 3 variables\nverifying\nverified: prompts\n"


def test_the_exporters_lines_name_the_phase():
    begun = ["".join(LOG.splitlines(keepends=True)[:n]) for n in range(6)]
    assert [phase_of(text) for text in begun] == [
        "starting",
        "reading",
        "reading",
        "tracing",
        "writing",
        "verifying",
    ]


def test_memory_is_what_a_phase_has_above_the_start_and_time_goes_on_to_the_next_phase():
    samples = [
        ProcessSample(0.0, "starting", 100),
        ProcessSample(1.0, "starting", 120),
        ProcessSample(2.0, "reading", 130),
        ProcessSample(3.0, "reading", 190),
        ProcessSample(4.0, "tracing", 180),
        ProcessSample(5.5, "tracing", 170),
    ]
    assert phases(samples) == (
        Phase("starting", 2.0, 0),
        Phase("reading", 2.0, 70),
        Phase("tracing", 1.5, 60),
    )


def test_the_table_shows_the_peak_above_the_weights():
    export = Export("bfloat16", "resident", 100, 2, (Phase("reading", 3, 110), Phase("verifying", 4, 130)))
    lines = [line.split() for line in render(10**6, 7, [export]).splitlines()]
    assert ["bfloat16", "resident", "100", "2", "130", "30", "7"] in lines
    assert ["bfloat16", "resident", "-", "3", "/", "110", "-", "-", "4", "/", "130"] in lines


def test_the_default_checkpoint_has_a_gigabyte():
    assert 2 * llama.GIGABYTE.parameters == pytest.approx(1e9, rel=0.02)


def test_a_checkpoint_is_sharded_as_its_index_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = {1536: 8, 4096: 16, 512: 4}
    monkeypatch.setattr(llama, "WIDTH", 8)
    monkeypatch.setattr(
        llama, "_LAYER", {n: tuple(small[size] for size in s) for n, s in llama._LAYER.items()}
    )
    shape = llama.LlamaShape(layers=40)
    llama.write(tmp_path, shape)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    assert index.keys() == shape.tensors.keys()
    for file in set(index.values()):
        with safe_open(tmp_path / file, "np") as opened:
            assert set(opened.keys()) == {name for name, place in index.items() if place == file}
