"""The parts of the experiments that need no model."""

import json
from pathlib import Path

import pytest

from bench import plot
from bench.experiments import first_byte, pool
from bench.experiments.memory import MemoryGrowth, MemorySample
from bench.experiments.repetition import predictable
from bench.experiments.state import SessionMemory
from bench.plot import NoPictures
from bench.spread import Spread


def test_a_text_without_repetition_cannot_be_predicted():
    assert predictable([1, 2, 3], [4, 5, 6]) == 0


def test_a_loop_is_predicted_from_its_second_turn_on():
    # 7 8 9 7 8 | 9 7 8: the pair (7, 8) was followed by 9 before, and so on.
    assert predictable([], [7, 8, 9, 7, 8, 9, 7, 8]) == 3 / 8


def test_a_prompt_predicts_an_answer_that_repeats_it():
    assert predictable([1, 2, 3, 4, 1, 2], [3, 4]) == 1


def test_the_last_occurrence_is_what_predicts():
    assert predictable([1, 2, 3, 1, 2, 4, 1, 2], [3]) == 0
    assert predictable([1, 2, 3, 1, 2, 4, 1, 2], [4]) == 1


def test_what_is_beyond_the_prefill_is_the_difference_of_medians():
    measured = first_byte.summarize([30.0, 20.0, 40.0], [12.0, 10.0, 50.0])
    assert measured.beyond_ms == 18
    assert "beyond it 18 ms" in first_byte.render(measured)


def test_memory_grows_by_the_last_look_less_the_first():
    looks = tuple(MemorySample(100 * i, {"a": 10.0, "b": mib}) for i, mib in enumerate((1, 3, 4, 4.5), 1))
    measured = MemoryGrowth(looks)
    assert measured.growth_mib == 3.5
    assert measured.late_growth_mib == 0.5


def test_a_session_s_memory_is_what_further_sessions_add():
    assert SessionMemory("m", None, {1: 1000.0, 16: 1450.0}).grown_mib == 30


def test_step_times_are_compared_within_a_round():
    # Everything takes twice as long in the second round.
    first = {16: 10.0, 32: 11.0, 64: 12.0, 96: 15.0}
    steps = [{slots: Spread(ms * slow, None) for slots, ms in first.items()} for slow in (1, 2)]
    assert [row.times_smallest for row in pool.summarize(steps).rows] == [1.0, 1.1, 1.2, 1.5]


def test_a_file_of_another_kind_cannot_be_drawn(tmp_path: Path):
    (tmp_path / "x.json").write_text(json.dumps({"kind": "memory"}))
    with pytest.raises(ValueError, match="only compare, growth can be drawn"):
        plot.draw(tmp_path / "x.json")


def test_without_matplotlib_that_is_said_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def missing() -> None:
        raise NoPictures("pictures need matplotlib")

    monkeypatch.setattr("bench.plot.pyplot", missing)
    (tmp_path / "x.json").write_text(json.dumps({"kind": "growth"}))
    plot.try_to_draw(tmp_path / "x.json")
    assert "not drawn: pictures need matplotlib" in capsys.readouterr().err
