"""The counts come from the records, and neither missing records nor a contradiction count as a pass."""

from __future__ import annotations

import msgspec
import pytest

from dashboard_client.schema import Scheduler, Software
from sdk_tests.report.environment import environment, named
from sdk_tests.report.view import EXIT_CODES, MISSING, View, tally, view
from tests.sdk_tests.report.examples import RUN, SOFTWARE, everything, manifest, passing, record


def test_counts_always_add_up_to_the_planned_cases() -> None:
    run = view(*everything())
    assert sum(run.counts.values()) == len(run.manifest.planned) == 25
    assert run.counts == {
        "pass": 14,
        "fail": 3,
        "error": 1,
        "infra": 1,
        MISSING: 1,
        "xpass": 1,
        "xfail": 1,
        "skip": 3,
    }


def test_the_last_attempt_counts_in_any_order_and_a_repeated_record_counts_once() -> None:
    first, last = record("psij/a@slurm", "infra", final=False), record("psij/a@slurm", attempt=2)
    for records in ([first, last], [last, first], [last, first, last, first]):
        (line,) = view(manifest(["psij/a@slurm"], [first, last]), records).lines
        assert line.record is last
        assert line.earlier == (first,)


def test_records_of_unplanned_cases_are_kept_apart() -> None:
    unplanned = record("psij/b@slurm")
    run = view(manifest(["psij/a@slurm"], [record("psij/a@slurm")]), [record("psij/a@slurm"), unplanned])
    assert run.unplanned == (unplanned,)
    assert run.counts["pass"] == 1


def verdict(*outcomes: str, exit_code: int | None = None, state: str = "complete", planned: int | None = None) -> View:
    records = [record(f"psij/{number}@slurm", outcome) for number, outcome in enumerate(outcomes)]
    ids = [f"psij/{number}@slurm" for number in range(len(outcomes) if planned is None else planned)]
    return view(manifest(ids, records, exit_code=exit_code, state=state), records)


@pytest.mark.parametrize(
    ("run", "name", "title"),
    [
        (verdict("pass", "skip"), "passed", "Passed: 1 case passed and none failed"),
        (verdict("xpass"), "passed", "Passed: 1 case passed and none failed"),
        (verdict("pass", "fail"), "failed", "Failed: of 2 cases, 1 failed"),
        (verdict("pass", "fail", "error"), "failed", "Failed: of 3 cases, 1 failed and 1 reached no verdict"),
        (verdict("pass", planned=3), "failed", "Failed: of 3 cases, 2 did not report"),
        (verdict("pass", "infra", exit_code=3), "infra", "Not validated: of 2 cases, 1 could not run"),
        (verdict("skip", "skip"), "nothing-passed", "Nothing passed, so nothing is validated"),
        (verdict("skip", "xfail"), "nothing-passed", "Nothing passed, so nothing is validated"),
        (verdict("pass", "error", state="interrupted", exit_code=130), "interrupted", "Interrupted"),
        (verdict(exit_code=2), "not-judged", "Not judged"),
        (verdict("pass", "skip", exit_code=1), "failed", "Failed: of 2 cases, the run ended with an error or skipped"),
    ],
)
def test_the_title_of_the_verdict_is_plain_english(run: View, name: str, title: str) -> None:
    assert run.verdict.name == name
    assert run.verdict.title.startswith(title)
    assert run.verdict.good is (name == "passed")


def test_a_run_in_which_only_controls_passed_validates_nothing() -> None:
    ids = ["control/hello@slurm", "psij/a@slurm"]
    records = [record(ids[0]), record(ids[1], "skip")]
    result = view(manifest(ids, records, exit_code=1), records).verdict
    assert (result.name, result.title) == ("nothing-passed", "Only control cases passed, so nothing is validated")


def test_a_run_that_was_not_closed_has_no_verdict_and_names_the_command_that_continues_it() -> None:
    result = view(manifest(["psij/a@slurm", "psij/b@slurm"]), [record("psij/a@slurm")]).verdict
    assert (result.name, result.exit_code) == ("unfinished", None)
    assert "1 of 2 cases have a record" in result.detail
    assert f"exaworks validate --resume {RUN}" in result.detail


def test_a_manifest_that_contradicts_the_records_gives_no_verdict() -> None:
    whole, records = passing()
    result = view(whole, records[1:]).verdict
    assert result.name == "inconsistent"
    assert "the manifest counts 0 missing cases, but 1 have no record" in result.detail
    assert "the manifest counts 5 pass, but the records 4" in result.detail


@pytest.mark.parametrize("outcomes", [("pass", "fail"), ("skip",), ("pass", "infra")])
def test_an_exit_code_of_zero_is_not_accepted_if_the_records_mean_another(outcomes: tuple[str, ...]) -> None:
    result = verdict(*outcomes, exit_code=0).verdict
    assert result.name == "inconsistent"
    assert "the exit code is 0, but the records mean" in result.detail


def test_a_case_whose_last_record_is_not_final_is_counted_as_unfinished() -> None:
    records = [record("psij/a@slurm"), record("psij/b@slurm", "infra", final=False)]
    result = view(manifest(["psij/a@slurm", "psij/b@slurm"], records), records).verdict
    assert "1 unfinished" in result.title


def test_the_title_states_that_all_passes_are_emulated() -> None:
    records = [record("psij/a@lsf"), record("psij/b@lsf")]
    result = view(manifest(["psij/a@lsf", "psij/b@lsf"], records), records).verdict
    assert result.title.startswith("Passed on emulated schedulers only")
    assert "proves nothing about the real one" in result.detail


def test_an_emulator_inside_a_real_allocation_still_marks_the_case() -> None:
    nested = Scheduler(outer=SOFTWARE["slurm"], nested=Software(name="flux", version="0.88.0", emulated=True))
    emulated = record("psij/a@slurm+flux", scheduler=nested)
    (line,) = view(manifest(["psij/a@slurm+flux"], [emulated]), [emulated]).lines
    assert line.emulated


def test_problems_with_the_same_cause_are_grouped_and_missing_cases_too() -> None:
    groups = view(*everything()).grouped_problems()
    assert [[line.case_id for line in lines] for lines in groups] == [
        ["parsl/htex:blocks=2@slurm"],
        ["radical.entk/ensemble@local", "radical.entk/ensemble@slurm"],
        ["parsl/diamond@slurm"],
        ["radical.pilot/pilot@slurm"],
        ["parsl/files@slurm"],
    ]


def test_the_environment_lists_each_value_once_and_keeps_deployments_apart() -> None:
    whole, records = passing()
    other = msgspec.structs.replace(
        records[0].stack,
        deployment=msgspec.structs.replace(whole.deployments[0], name="parsl-on-rp"),
        python="3.12.1",
    )
    facts = environment(view(whole, [*records[1:], msgspec.structs.replace(records[0], stack=other)]))
    assert list(facts.deployments) == ["release", "parsl-on-rp"]
    assert [part.name for part in facts.deployments["release"]] == ["flux", "parsl", "psij", "radical.pilot"]
    assert facts.python == ["3.12.1", "3.11.7"]
    assert [named(part) for part in facts.schedulers] == ["local", "slurm 22.05.8"]


def test_every_exit_code_has_a_meaning() -> None:
    assert set(EXIT_CODES) == {0, 1, 2, 3, 130}


def test_counts_are_written_as_text() -> None:
    assert tally({}) == "nothing"
    assert tally({"pass": 3, MISSING: 2, "fail": 1}) == "3 pass, 1 FAIL, missing 2"
