from __future__ import annotations

import pytest

from sdk_tests.plan import machine_speed


@pytest.mark.parametrize(
    ("seconds_a_round", "expected"),
    [(0.001, 1.0), (0.005, 1.0), (0.0074, 1.0), (0.0101, 2.0), (0.0151, 3.0), (0.02, 4.0), (1.0, 4.0)],
)
def test_limits_grow_on_a_slow_machine_and_never_shrink(
    monkeypatch: pytest.MonkeyPatch, seconds_a_round: float, expected: float
) -> None:
    monkeypatch.setattr(machine_speed, "_round", lambda: seconds_a_round)
    assert machine_speed.slowdown() == expected


def test_one_disturbed_round_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([0.005] * 5 + [9.0] * 4)
    monkeypatch.setattr(machine_speed, "_round", lambda: next(rounds))
    assert machine_speed.slowdown() == 1.0
