from __future__ import annotations

from pathlib import Path

from dashboard_client.compare import Change, Difference, compare, since_last_pass
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Component, Deployment, Outcome, Stack
from tests.dashboard_client.samples import CASES, finished_run, manifest, record

A, B, C = CASES
STACK = Stack(
    deployment=Deployment(name="default", kind="venv", digest="e" * 64),
    components=[Component(name="parsl", version="2026.10.26")],
    python="3.11.2",
)


def named(day: int) -> dict[str, str]:
    return {"run_id": f"202611{day:02}T000000Z-w-aaaaaa", "started": f"2026-11-{day:02}T00:00:00Z"}


def test_each_case_is_told_once_under_what_happened_to_it(tmp_path: Path) -> None:
    p, f, s = Outcome.PASS, Outcome.FAIL, Outcome.SKIP
    cases = [f"c/{name}@local" for name in ("same", "broke", "mended", "hidden", "came", "left", "worse")]
    same, broke, mended, hidden, came, left, worse = cases
    before = finished_run(
        tmp_path, {same: p, broke: p, mended: f, hidden: p, left: p, worse: Outcome.INFRA}, **named(1)
    )
    after = finished_run(tmp_path, {same: p, broke: f, mended: p, hidden: s, came: p, worse: f}, **named(2))
    told = compare(before, after)
    assert told.newly_failing == (Change(broke, "pass", "fail"),)
    assert told.fixed == (Change(mended, "fail", "pass"),)
    assert told.changed == (Change(hidden, "pass", "skip"), Change(worse, "infra", "fail"))
    assert told.added == (Change(came, None, "pass"),)
    assert told.removed == (Change(left, "pass", None),)
    assert told.same == 1
    assert told.stack == ()


def test_a_planned_case_without_a_record_is_newly_failing(tmp_path: Path) -> None:
    before = finished_run(tmp_path, **named(1))
    after = RunFolder.create(tmp_path, manifest(**named(2)))
    after.append(record(A, of=after.manifest))
    assert compare(before, after).newly_failing == (Change(C, "pass", "missing"), Change(B, "pass", "missing"))


def test_a_skip_that_now_fails_is_newly_failing_and_a_failure_now_skipped_is_not_fixed(tmp_path: Path) -> None:
    before = finished_run(tmp_path, {A: Outcome.SKIP, B: Outcome.FAIL}, **named(1))
    after = finished_run(tmp_path, {A: Outcome.FAIL, B: Outcome.SKIP}, **named(2))
    told = compare(before, after)
    assert told.newly_failing == (Change(A, "skip", "fail"),)
    assert told.fixed == ()
    assert told.changed == (Change(B, "fail", "skip"),)


def test_what_differs_in_the_stack_is_told_fact_by_fact(tmp_path: Path) -> None:
    before = finished_run(tmp_path, stack=STACK, **named(1))
    changed = Stack(
        deployment=Deployment(name="default", kind="venv", digest="f" * 64),
        components=[Component(name="parsl", version="2026.11.01"), Component(name="psij", version="0.9.11")],
        python="3.12.1",
        modules=["PrgEnv-gnu", "cray-mpich"],
    )
    after = finished_run(tmp_path, stack=changed, **named(2))
    assert compare(before, after).stack == (
        Difference("component parsl", "2026.10.26", "2026.11.01"),
        Difference("component psij", None, "0.9.11"),
        Difference("deployment default", "venv " + "e" * 64, "venv " + "f" * 64),
        Difference("modules", None, "PrgEnv-gnu cray-mpich"),
        Difference("python", "3.11.2", "3.12.1"),
    )


def test_what_one_run_withheld_is_no_difference(tmp_path: Path) -> None:
    before = finished_run(tmp_path, stack=STACK, **named(1))
    bare = Stack(components=[Component(name="parsl", version="2026.11.01")])
    after = finished_run(tmp_path, stack=bare, redaction="minimal", **named(2))
    assert compare(before, after).stack == (Difference("component parsl", "2026.10.26", "2026.11.01"),)


def test_with_several_deployments_each_fact_names_its_own(tmp_path: Path) -> None:
    opened = manifest(**named(1))
    before = RunFolder.create(tmp_path, opened)
    older = Stack(
        deployment=Deployment(name="parsl-rp", kind="venv", digest="a"),
        components=[Component(name="parsl", version="2024.01.01")],
    )
    before.append(record(A, of=opened, stack=STACK))
    before.append(record(B, of=opened, stack=older))
    after = finished_run(tmp_path, stack=STACK, **named(2))
    told = {each.what: (each.a, each.b) for each in compare(before, after).stack}
    assert told == {
        "deployment parsl-rp": ("venv a", None),
        "component parsl (parsl-rp)": ("2024.01.01", None),
    }


def test_a_smaller_selection_is_no_difference_of_the_stack(tmp_path: Path) -> None:
    before = finished_run(tmp_path, **named(1))
    after = finished_run(tmp_path, {A: Outcome.PASS}, **named(2))
    assert compare(before, after).stack == ()


def test_the_last_pass_is_the_newest_earlier_passed_run_of_this_system(tmp_path: Path) -> None:
    finished_run(tmp_path, **named(1))
    good = finished_run(tmp_path, **named(2))
    finished_run(tmp_path, {A: Outcome.FAIL}, exit_code=1, **named(3))
    finished_run(tmp_path, system="other", **named(4))
    finished_run(tmp_path, {"psij/else@local": Outcome.PASS}, **named(5))
    RunFolder.create(tmp_path, manifest(**named(6)))
    damaged = RunFolder.create(tmp_path, manifest(**named(7)))
    (damaged.path / "manifest.json").write_text("{")
    run = finished_run(tmp_path, {A: Outcome.FAIL}, exit_code=1, **named(8))
    finished_run(tmp_path, **named(9))
    told = since_last_pass(run, tmp_path)
    assert told is not None
    assert (told.a, told.b) == (good.manifest.run_id, run.manifest.run_id)
    assert told.newly_failing == (Change(A, "pass", "fail"),)


def test_without_an_earlier_pass_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    assert since_last_pass(run, tmp_path) is None
