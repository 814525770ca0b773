"""How many units of work fit into an interval, learned from calls timed by a fake clock."""

import pytest

from deployments.decoder import pace
from deployments.decoder.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def calls(pace: Pace, clock: Clock, units: int, seconds: float, count: int = 30) -> None:
    for _ in range(count):
        with pace.timed(units):
            clock.now += seconds


def _fail(learns: Pace, clock: Clock) -> None:
    with learns.timed(4):
        clock.now += 99
        raise OSError("gone")


def test_before_anything_was_measured_the_first_guess_fills_the_interval():
    assert Pace(0.05).units(64) == 1
    assert Pace(0.05, initial_units=128).units(1000) == 128
    assert Pace(0.05, initial_units=128).units(16) == 16


def test_as_many_units_as_fit_are_learned(clock):
    learns = Pace(1.0)
    for _ in range(30):
        units = learns.units(64)
        calls(learns, clock, units, 0.26 * units, count=1)
    assert learns.units(64) == 3


def test_a_call_that_took_very_long_is_soon_forgotten(clock):
    learns = Pace(1.0, initial_units=100)
    calls(learns, clock, 100, 60.0, count=1)
    assert learns.units(1000) >= 70


def test_little_work_in_little_time_says_nothing_of_a_unit(clock):
    learns = Pace(1.0, initial_units=100)
    calls(learns, clock, 1, 0.2)
    assert learns.units(1000) == 100


def test_little_work_that_fills_the_interval_does(clock):
    learns = Pace(1.0, initial_units=100)
    calls(learns, clock, 10, 1.5)
    assert learns.units(1000) <= 7


def test_a_call_that_fails_does_not_count(clock):
    learns = Pace(1.0, initial_units=4)
    with pytest.raises(OSError, match="gone"):
        _fail(learns, clock)
    assert learns.units(9) == 4
