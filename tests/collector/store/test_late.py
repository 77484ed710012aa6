"""A late run: the history that is joined equals the one that is computed from all runs, and costs as little."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from collector.clock import now_ms
from collector.store import rollups
from collector.store.database import Store, database_url, open_store
from collector.store.late import joined
from collector.store.recompute import verify
from collector.store.streaks import KEPT, Observation, Streak
from dashboard_client.schema import Outcome
from tests.collector.samples import closing, manifest, record
from tests.collector.store.test_order import added, closed, opened

CASES = ["control/hello@slurm", "psij/a@slurm"]
HABITS = {"steady": "p" * 30 + "f", "mixed": "pfeisxX.", "skipping": "s" * 60 + "p", "failing": "f" * 40 + "sp"}


def folded(observations: list[Observation]) -> Streak:
    streak = Streak()
    for each in observations:
        streak = streak.extended(each)
    return streak


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("seed", range(40))
def test_a_joined_history_equals_one_that_is_computed_from_all_observations(habit: str, seed: int) -> None:
    chance = random.Random(f"{habit} {seed}")
    observed = [
        Observation(number, 10 * number, chance.choice(HABITS[habit]), chance.choice("aaaab"))
        for number in range(chance.choice((3, 20, 40, 120)))
    ]
    before, changes = folded(observed), chance.choice((1, 1, 3))
    oldest = 10 * len(observed)
    for change in range(changes):
        place = chance.randrange(len(observed) + 1)
        started = 10 * place - 5 + change
        if place < len(observed) and chance.random() < 0.4:  # another outcome of a run that was known
            observed[place] = observed[place]._replace(outcome=chance.choice(HABITS[habit]))
            started = observed[place].started
        else:
            observed.append(Observation(1000 + change, started, chance.choice(HABITS[habit]), "a"))
        oldest = min(oldest, started)
        observed.sort(key=lambda each: each.started)
    wanted, answers = folded(observed), []
    for read in range(len(observed) + 1):
        window = observed[len(observed) - read :]
        first = window[0].started if window else 10**9
        if first <= oldest:
            answers.append(joined(before, window, first, changes))
            idle = joined(before, window, first - 3, changes)  # the oldest run that was read does not have the cell
            if read < len(observed) and observed[-read - 1].started < first - 3:
                answers.append(idle)
    answers.append(joined(before, observed, None, changes))
    assert answers[-1] == wanted
    assert {answer for answer in answers if answer is not None} == {wanted}


def _send(store: Store, started: datetime, outcomes: list[Outcome], parts: int = 1) -> None:
    run_id, at = f"run-{started:%Y%m%d-%H}", f"{started:%Y-%m-%dT%H}:01:"
    records = [record(run_id, case, outcome, at=at) for case, outcome in zip(CASES, outcomes, strict=True)]
    steps = [opened(manifest(run_id, CASES, started=f"{started:%Y-%m-%dT%H}:00:00Z"))]
    steps += [added(*records)] if parts == 1 else [added(each) for each in records]
    steps += [closed(run_id, closing(len(records)))]
    with store.writing() as connection:
        for step in steps:
            step(connection)


def _nights(number: int) -> list[datetime]:
    last = datetime.fromtimestamp(now_ms() / 1000, timezone.utc).replace(minute=0, second=0, microsecond=0)
    return [last - timedelta(days=number - night) for night in range(number)]


def test_runs_that_arrive_late_and_in_any_order_leave_nothing_to_repair(store: Store) -> None:
    chance, nights = random.Random(5), _nights(56 if store.file else 44)
    late = set(chance.sample(nights, 12))
    outcomes = [Outcome.PASS, Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.SKIP]
    for night in nights:
        if night not in late:
            _send(store, night, chance.choices(outcomes, k=2))
    for night in chance.sample(sorted(late), len(late)):
        _send(store, night, chance.choices(outcomes, k=2), parts=chance.choice((1, 2)))
    with store.exclusive() as connection:
        assert verify(connection).problems == []


def test_a_late_run_costs_the_same_however_long_the_history_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    observed = rollups._observed

    def counted(run: object, cell: int) -> Observation | None:
        nonlocal asked
        asked += 1
        return observed(run, cell)

    monkeypatch.setattr(rollups, "_observed", counted)
    store, nights, costs = open_store(database_url(None, tmp_path)), _nights(180), []
    for some in (nights[:80], nights[80:]):
        for night in some:
            _send(store, night, [Outcome.PASS, Outcome.PASS])
        asked = 0
        _send(store, some[-10] + timedelta(hours=1), [Outcome.FAIL, Outcome.PASS])
        costs.append(asked)
    store.close()
    assert costs[0] > 2 * KEPT
    assert costs[1] == costs[0]


@pytest.mark.parametrize(
    ("outcomes", "writes"), [("ppp", False), ("ppf", True), ("pfp", True), ("fff", False)], ids=str
)
def test_records_write_incidents_only_if_they_change_what_needs_attention(
    outcomes: str, writes: bool, store: Store
) -> None:
    """A failure that stays changes only which run is the latest."""
    nights = _nights(len(outcomes))
    named = {"p": Outcome.PASS, "f": Outcome.FAIL}
    for night, outcome in zip(nights[:-1], outcomes, strict=False):
        _send(store, night, [named[outcome], Outcome.PASS])
    statements: list[str] = []

    def listen(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(store.writer, "before_cursor_execute", listen)
    last = record(f"run-{nights[-1]:%Y%m%d-%H}", CASES[0], named[outcomes[-1]], at=f"{nights[-1]:%Y-%m-%dT%H}:01:")
    with store.writing() as connection:
        added(last)(connection)
    event.remove(store.writer, "before_cursor_execute", listen)
    assert any("INSERT INTO incidents" in each or "DELETE FROM incidents" in each for each in statements) is writes
    with store.exclusive() as connection:
        assert verify(connection).problems == []
