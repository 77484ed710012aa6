"""The counts come from the records, and no silence or contradiction reads as a pass."""

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


def test_the_highest_attempt_counts_whatever_the_order_and_a_record_read_twice_counts_once() -> None:
    first, last = record("psij/a@slurm", "infra", final=False), record("psij/a@slurm", attempt=2)
    for records in ([first, last], [last, first], [last, first, last, first]):
        (line,) = view(manifest(["psij/a@slurm"], [first, last]), records).lines
        assert line.record is last
        assert line.earlier == (first,)


def test_records_of_cases_nobody_planned_are_set_aside() -> None:
    stray = record("psij/b@slurm")
    run = view(manifest(["psij/a@slurm"], [record("psij/a@slurm")]), [record("psij/a@slurm"), stray])
    assert run.unplanned == (stray,)
    assert run.counts["pass"] == 1


def verdict(*outcomes: str, exit_code: int | None = None, state: str = "complete", planned: int | None = None) -> View:
    records = [record(f"psij/{number}@slurm", outcome) for number, outcome in enumerate(outcomes)]
    ids = [f"psij/{number}@slurm" for number in range(len(outcomes) if planned is None else planned)]
    return view(manifest(ids, records, exit_code=exit_code, state=state), records)


@pytest.mark.parametrize(
    ("run", "word", "title"),
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
        (verdict("pass", "skip", exit_code=1), "failed", "Failed: of 2 cases, the run ended in an error or skipped"),
    ],
)
def test_the_verdict_is_said_in_plain_words(run: View, word: str, title: str) -> None:
    assert run.verdict.word == word
    assert run.verdict.title.startswith(title)
    assert run.verdict.good is (word == "passed")


def test_a_run_in_which_only_controls_passed_validates_nothing() -> None:
    ids = ["control/hello@slurm", "psij/a@slurm"]
    records = [record(ids[0]), record(ids[1], "skip")]
    said = view(manifest(ids, records, exit_code=1), records).verdict
    assert (said.word, said.title) == ("nothing-passed", "Nothing but controls passed, so nothing is validated")


def test_a_run_that_was_never_closed_has_no_verdict_and_says_how_to_carry_on() -> None:
    said = view(manifest(["psij/a@slurm", "psij/b@slurm"]), [record("psij/a@slurm")]).verdict
    assert (said.word, said.exit_code) == ("unfinished", None)
    assert "1 of 2 cases have a record" in said.detail
    assert f"exaworks validate --resume {RUN}" in said.detail


def test_a_closing_count_that_the_records_do_not_bear_out_is_no_verdict() -> None:
    whole, records = passing()
    said = view(whole, records[1:]).verdict
    assert said.word == "inconsistent"
    assert "the closing count says 0 missing, 1 have no record here" in said.detail
    assert "says 5 pass, the records here say 4" in said.detail


@pytest.mark.parametrize("outcomes", [("pass", "fail"), ("skip",), ("pass", "infra")])
def test_an_exit_code_of_zero_is_not_believed_where_the_records_mean_another(outcomes: tuple[str, ...]) -> None:
    said = verdict(*outcomes, exit_code=0).verdict
    assert said.word == "inconsistent"
    assert "the exit code is 0, the records here mean" in said.detail


def test_a_case_that_is_owed_another_attempt_is_named() -> None:
    records = [record("psij/a@slurm"), record("psij/b@slurm", "infra", final=False)]
    said = view(manifest(["psij/a@slurm", "psij/b@slurm"], records), records).verdict
    assert "1 still to be tried again" in said.title


def test_passes_on_emulated_schedulers_only_are_called_that() -> None:
    records = [record("psij/a@lsf"), record("psij/b@lsf")]
    said = view(manifest(["psij/a@lsf", "psij/b@lsf"], records), records).verdict
    assert said.title.startswith("Passed on emulated schedulers only")
    assert "proves nothing of the real one" in said.detail


def test_an_emulator_inside_a_real_allocation_still_marks_the_case() -> None:
    nested = Scheduler(outer=SOFTWARE["slurm"], nested=Software(name="flux", version="0.88.0", emulated=True))
    found = record("psij/a@slurm+flux", scheduler=nested)
    (line,) = view(manifest(["psij/a@slurm+flux"], [found]), [found]).lines
    assert line.emulated


def test_problems_with_one_cause_stand_together_and_missing_ones_too() -> None:
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
    found = environment(view(whole, [*records[1:], msgspec.structs.replace(records[0], stack=other)]))
    assert list(found.deployments) == ["release", "parsl-on-rp"]
    assert [part.name for part in found.deployments["release"]] == ["flux", "parsl", "psij", "radical.pilot"]
    assert found.python == ["3.12.1", "3.11.7"]
    assert [named(part) for part in found.schedulers] == ["local", "slurm 22.05.8"]


def test_the_exit_codes_of_the_design_all_have_words() -> None:
    assert set(EXIT_CODES) == {0, 1, 2, 3, 130}


def test_a_tally_of_nothing_says_so() -> None:
    assert tally({}) == "nothing"
    assert tally({"pass": 3, MISSING: 2, "fail": 1}) == "3 pass, 1 FAIL, missing 2"
