from __future__ import annotations

from pathlib import Path

from dashboard_client.compare import Change, Difference, compare, compare_with_last_pass
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


def test_each_changed_case_is_listed_once_under_its_kind_of_change(tmp_path: Path) -> None:
    p, f, s = Outcome.PASS, Outcome.FAIL, Outcome.SKIP
    cases = [f"c/{name}@local" for name in ("same", "broken", "fixed", "skipped", "added", "removed", "worse")]
    same, broken, fixed, skipped, added, removed, worse = cases
    before = finished_run(
        tmp_path, {same: p, broken: p, fixed: f, skipped: p, removed: p, worse: Outcome.INFRA}, **named(1)
    )
    after = finished_run(tmp_path, {same: p, broken: f, fixed: p, skipped: s, added: p, worse: f}, **named(2))
    comparison = compare(before, after)
    assert comparison.newly_failing == (Change(broken, "pass", "fail"),)
    assert comparison.fixed == (Change(fixed, "fail", "pass"),)
    assert comparison.changed == (Change(skipped, "pass", "skip"), Change(worse, "infra", "fail"))
    assert comparison.added == (Change(added, None, "pass"),)
    assert comparison.removed == (Change(removed, "pass", None),)
    assert comparison.same == 1
    assert comparison.stack == ()


def test_a_planned_case_without_a_record_is_newly_failing(tmp_path: Path) -> None:
    before = finished_run(tmp_path, **named(1))
    after = RunFolder.create(tmp_path, manifest(**named(2)))
    after.append(record(A, of=after.manifest))
    assert compare(before, after).newly_failing == (Change(C, "pass", "missing"), Change(B, "pass", "missing"))


def test_a_skip_that_now_fails_is_newly_failing_and_a_failure_that_is_now_skipped_is_not_fixed(tmp_path: Path) -> None:
    before = finished_run(tmp_path, {A: Outcome.SKIP, B: Outcome.FAIL}, **named(1))
    after = finished_run(tmp_path, {A: Outcome.FAIL, B: Outcome.SKIP}, **named(2))
    comparison = compare(before, after)
    assert comparison.newly_failing == (Change(A, "skip", "fail"),)
    assert comparison.fixed == ()
    assert comparison.changed == (Change(B, "fail", "skip"),)


def test_differences_of_the_stack_are_listed_fact_by_fact(tmp_path: Path) -> None:
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


def test_a_fact_that_one_run_withheld_is_not_a_difference(tmp_path: Path) -> None:
    before = finished_run(tmp_path, stack=STACK, **named(1))
    bare = Stack(components=[Component(name="parsl", version="2026.11.01")])
    after = finished_run(tmp_path, stack=bare, redaction="minimal", **named(2))
    assert compare(before, after).stack == (Difference("component parsl", "2026.10.26", "2026.11.01"),)


def test_with_several_deployments_each_fact_names_its_deployment(tmp_path: Path) -> None:
    opened = manifest(**named(1))
    before = RunFolder.create(tmp_path, opened)
    older = Stack(
        deployment=Deployment(name="parsl-rp", kind="venv", digest="a"),
        components=[Component(name="parsl", version="2024.01.01")],
    )
    before.append(record(A, of=opened, stack=STACK))
    before.append(record(B, of=opened, stack=older))
    after = finished_run(tmp_path, stack=STACK, **named(2))
    differences = {each.what: (each.a, each.b) for each in compare(before, after).stack}
    assert differences == {
        "deployment parsl-rp": ("venv a", None),
        "component parsl (parsl-rp)": ("2024.01.01", None),
    }


def test_a_smaller_selection_is_not_a_difference_of_the_stack(tmp_path: Path) -> None:
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
    comparison = compare_with_last_pass(run, tmp_path)
    assert comparison is not None
    assert (comparison.a, comparison.b) == (good.manifest.run_id, run.manifest.run_id)
    assert comparison.newly_failing == (Change(A, "pass", "fail"),)


def test_without_an_earlier_pass_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    assert compare_with_last_pass(run, tmp_path) is None
