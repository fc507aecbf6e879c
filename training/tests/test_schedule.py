"""The learning rate over a run."""

import pytest

from vigie_training.fitting import Schedule, Settings


def rates(schedule: Schedule) -> list[float]:
    return [schedule.learning_rate(step, schedule.progress(step, 0)) for step in range(schedule.steps)]


def test_the_rate_rises_then_falls_to_a_hundredth():
    found = rates(Schedule(Settings(epochs=10, lr=1.0, warmup_steps=50), steps_per_epoch=100))
    assert found[0] == pytest.approx(1 / 50) and max(found) == pytest.approx(found[49]) and found[49] > 0.98
    assert found[-1] == pytest.approx(0.01, abs=1e-4)


def test_a_short_run_is_not_all_warm_up():
    schedule = Schedule(Settings(epochs=10, lr=1.0, warmup_steps=300), steps_per_epoch=6)
    assert schedule.steps == 60 and schedule.warmup == 6
    assert max(rates(schedule)) > 0.95


def test_by_the_clock_the_warm_up_is_as_long_as_asked():
    assert Schedule(Settings(minutes=5, warmup_steps=300), steps_per_epoch=6).warmup == 300
