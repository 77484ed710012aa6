"""The roll-ups depend on the facts only: every order of arrival gives the same pages."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from collector.auth.visibility import EVERYTHING
from collector.clock import now_ms
from collector.outcomes import CHAR
from collector.status import queries
from collector.store.database import Store
from collector.store.decoding import DecodedRecord, read_batch, read_closing, read_manifest
from collector.store.recompute import verify
from collector.store.records import store_records
from collector.store.runs import store_closing, store_manifest
from collector.store.tables import board, cells, days, runs, systems
from dashboard_client.schema import Closing, Deployment, Manifest, Outcome, Record, Tier, encode
from tests.collector.process import batch
from tests.collector.samples import CASES, closing, manifest, record

NOW = now_ms()
Step = Callable[[Connection], Any]


def opened(sent: Manifest) -> Step:
    return lambda connection: store_manifest(connection, read_manifest(encode(sent), NOW), NOW)


def added(*sent: Record) -> Step:
    decoded = [item for item in read_batch(batch(sent), NOW) if isinstance(item, DecodedRecord)]
    assert len(decoded) == len(sent)
    return lambda connection: store_records(connection, decoded, NOW)


def closed(run_id: str, sent: Closing) -> Step:
    return lambda connection: store_closing(connection, run_id, read_closing(encode(sent), NOW), "*", NOW)


def rolled_up(connection: Connection) -> dict[str, Any]:
    """Return every roll-up by name instead of by key, because keys depend on the order of arrival."""
    names = {row.id: row.case_id for row in connection.execute(select(cells))}
    run_ids: dict[int | None, str | None] = {row.id: row.run_id for row in connection.execute(select(runs))}
    system_names = {row.id: row.system for row in connection.execute(select(systems))}
    cell_rows = {}
    for row in connection.execute(select(cells)):
        points = {
            name: (run_ids.get(getattr(row, f"{name}_run")), getattr(row, f"{name}_started"))
            for name in ("last", "since", "pass", "fail")
        }
        shown = (row.last_outcome, row.last_version, row.last_emulated, row.history, row.turns, row.decided)
        cell_rows[system_names[row.system], row.case_id] = (shown, points)
    board_rows = {
        (system_names[row.system], row.subject): (
            row.worst,
            row.outcomes,
            row.started,
            run_ids[row.run],
            row.version,
            row.emulated,
            row.flaky,
        )
        for row in connection.execute(select(board))
    }
    run_rows = {}
    for row in connection.execute(select(runs)).all():
        run = queries.find_run(connection, row.run_id, EVERYTHING)
        assert run is not None
        outcomes = zip(queries.run_cells(connection, run), run.outcomes, strict=True)
        by_case = sorted((names[cell.id], char) for cell, char in outcomes)
        run_rows[row.run_id] = (row.started, row.state, row.stack, row.schedulers, row.records, by_case)
    tiers = select(systems.c.full_smoke, systems.c.full_integration).order_by(systems.c.site, systems.c.system)
    full = [tuple(row) for row in connection.execute(tiers)]
    sums = sorted(tuple(row)[1:] for row in connection.execute(select(days)))
    return {"cells": cell_rows, "board": board_rows, "runs": run_rows, "full": full, "days": sums}


def apply(store: Store, steps: Iterable[Step]) -> dict[str, Any]:
    """Apply the steps in one transaction, return the roll-ups, and roll back, so that the store is empty again."""
    with store.writer.connect() as connection:
        for step in steps:
            step(connection)
        shown = rolled_up(connection)
        assert verify(connection).problems == []
        connection.rollback()
    return shown


def two_runs() -> list[Step]:
    """Return the steps of two runs: the first passes; the second has a failed, a repeated and a missing case."""
    later = {"started": "2026-11-21T08:00:00Z"}
    at = {"at": "2026-11-21T08:02:"}
    return [
        opened(manifest("first")),
        added(*(record("first", case) for case in CASES)),
        closed("first", closing(5)),
        opened(manifest("second", **later)),
        added(record("second", CASES[0], Outcome.FAIL, **at), record("second", CASES[1], Outcome.INFRA, 1, **at)),
        added(record("second", CASES[1], Outcome.PASS, 2, **at), record("second", "flux/hello@flux", **at)),
        added(record("second", CASES[2], **at), record("second", CASES[3], Outcome.SKIP, emulated=True, **at)),
        closed("second", closing(4, missing=1, ended="2026-11-21T09:00:00Z")),
    ]


def possible(order: tuple[int, ...]) -> bool:
    """Return whether each closing comes after a manifest or a record of its run."""
    places = {step: place for place, step in enumerate(order)}
    return places[2] > min(places[0], places[1]) and places[7] > min(places[step] for step in (3, 4, 5, 6))


def turning_runs() -> list[Step]:
    """Return the steps of four runs in which a case fails, recovers, and fails again; the last is on another stack."""
    steps = []
    for number, (one, other) in enumerate([("f", "p"), ("p", "p"), ("e", "s"), ("f", "p")]):
        run_id, at = f"turn-{number}", f"2026-11-1{number}T08:01:"
        changes: dict[str, Any] = {"started": f"2026-11-1{number}T08:00:00Z"}
        if number == 3:
            changes["deployments"] = [Deployment(name="spack", kind="spack", digest="77aa" * 16)]
        outcomes = {char: outcome for outcome, char in CHAR.items()}
        records = [record(run_id, CASES[0], outcomes[one], at=at), record(run_id, CASES[1], outcomes[other], at=at)]
        steps += [opened(manifest(run_id, CASES[:2], **changes)), added(*records), closed(run_id, closing(2))]
    return steps


def test_any_order_of_arrival_gives_the_same_roll_ups(store: Store) -> None:
    steps = two_runs()
    wanted = apply(store, steps)
    assert wanted["board"]["frontier", "control"][0] == "f"
    assert wanted["board"]["frontier", "parsl"][:2] == (".", ".")
    orders = [order for order in itertools.permutations(range(len(steps))) if possible(order)]
    for order in random.Random(7).sample(orders, 12 if store.file else 5):  # fewer on PostgreSQL, which is slower
        assert apply(store, [steps[step] for step in order]) == wanted, order


def test_the_history_of_a_cell_does_not_depend_on_the_order_of_arrival(store: Store) -> None:
    steps = turning_runs()
    wanted = apply(store, steps)
    (shown, points) = wanted["cells"][min(wanted["cells"])]
    assert shown[3:] == ("fpef", "-!!-", "f")
    assert [points[name][0] for name in ("last", "since", "pass", "fail")] == ["turn-3", "turn-3", "turn-1", "turn-2"]
    assert wanted["board"]["frontier", "control"][6] == 1
    chooser = random.Random(11)
    for _ in range(6 if store.file else 3):
        order = [steps[3 * run : 3 * run + 3] for run in chooser.sample(range(4), 4)]
        mixed = [step for run in order for step in ((run[1], run[0], run[2]) if chooser.random() < 0.5 else run)]
        assert apply(store, mixed) == wanted


def test_an_older_run_that_comes_later_does_not_hide_a_newer_one(store: Store) -> None:
    steps = two_runs()
    assert apply(store, [*steps[3:], *steps[:3]]) == apply(store, steps)


def test_sending_everything_twice_changes_nothing(store: Store) -> None:
    steps = two_runs()
    assert apply(store, [*steps, *steps]) == apply(store, steps)


def test_a_partial_run_makes_no_case_missing_and_neither_does_an_open_run(store: Store) -> None:
    with store.writing() as connection:
        for step in (opened(manifest("whole")), added(*(record("whole", case) for case in CASES))):
            step(connection)
        closed("whole", closing(5))(connection)
        opened(manifest("part", CASES[:2], partial=True, started="2026-11-21T08:00:00Z"))(connection)
        closed("part", closing(0, missing=2))(connection)
        opened(manifest("open", started="2026-11-21T09:00:00Z"))(connection)
        assert {shown[0] for shown, _ in rolled_up(connection)["cells"].values()} == {"p"}
        closed("open", closing(0, missing=5))(connection)
        assert {shown[0] for shown, _ in rolled_up(connection)["cells"].values()} == {"."}


def test_a_case_that_a_full_run_no_longer_plans_leaves_the_board(store: Store) -> None:
    later = {"started": "2026-11-21T08:00:00Z"}
    with store.writing() as connection:
        opened(manifest("with"))(connection)
        added(*(record("with", case) for case in CASES))(connection)
        closed("with", closing(5))(connection)
        opened(manifest("smoke", CASES[:1], tier=Tier.SMOKE, **later))(connection)
        closed("smoke", closing(0, missing=1))(connection)
        assert {subject for _, subject in rolled_up(connection)["board"]} == {"control", "psij", "parsl"}
        opened(manifest("without", CASES[:4], started="2026-11-22T08:00:00Z"))(connection)
        closed("without", closing(0, missing=4))(connection)
        assert {subject for _, subject in rolled_up(connection)["board"]} == {"control", "psij"}


@pytest.mark.parametrize(
    ("outcomes", "shown"),
    [
        ([Outcome.PASS, Outcome.SKIP], "p"),
        ([Outcome.SKIP, Outcome.SKIP], "s"),
        ([Outcome.SKIP, Outcome.XFAIL], "x"),
        ([Outcome.PASS, Outcome.XFAIL], "p"),
        ([Outcome.PASS, Outcome.XPASS], "X"),
        ([Outcome.PASS, Outcome.INFRA], "i"),
        ([Outcome.INFRA, Outcome.ERROR], "e"),
        ([Outcome.ERROR, Outcome.FAIL], "f"),
    ],
)
def test_the_worst_outcome_is_displayed_and_a_group_without_a_pass_never_as_one(
    store: Store, outcomes: list[Outcome], shown: str
) -> None:
    cases = [f"psij/case{number}@local" for number in range(len(outcomes))]
    with store.writing() as connection:
        opened(manifest("run", cases))(connection)
        added(*(record("run", case, outcome) for case, outcome in zip(cases, outcomes, strict=True)))(connection)
        assert rolled_up(connection)["board"]["frontier", "psij"][0] == shown


def test_the_results_of_two_systems_are_separate(store: Store) -> None:
    with store.writing() as connection:
        opened(manifest("one"))(connection)
        opened(manifest("other", system="summit"))(connection)
        added(record("one", CASES[0]), record("other", CASES[0], Outcome.FAIL, system="summit"))(connection)
        worst = dict(connection.execute(select(systems.c.system, board.c.worst).join_from(board, systems)).all())
    assert worst == {"frontier": "p", "summit": "f"}
