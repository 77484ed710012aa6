"""The terminal shows every cell, every failure with its cause, and no green where nothing passed."""

from __future__ import annotations

import re

import pytest

from dashboard_client.schema import Cause, CauseClass, Phase
from sdk_tests.report.table import summary
from tests.sdk_tests.report.examples import HOSTILE, effective, everything, manifest, passing, record

GREEN = "\x1b[32m"


def test_each_cell_lists_its_outcomes() -> None:
    whole, records = everything()
    table = summary(whole, effective(records), colour=False).split("\n\n")[0].splitlines()
    assert table[0].split("  ")[-1].strip() == "lsf (emulated)"
    cells = {line.split()[0]: re.split(r"\s{2,}", line)[1:] for line in table[2:]}
    assert cells["psij"] == ["1 pass", "4 pass", "1 pass"]
    assert cells["parsl"] == ["1 pass", "2 pass 1 FAIL 1 ERROR missing 1", "1 pass"]
    assert cells["radical.pilot"] == ["1 pass", "1 INFRA", "-"]
    assert cells["psij+radical.pilot"] == ["-", "1 xfail", "-"]
    assert cells["swift-t"] == ["1 skip", "1 skip", "1 skip"]


def test_a_run_of_skips_is_never_green_and_states_that_nothing_is_validated() -> None:
    records = [record("psij/a@slurm", "skip"), record("parsl/a@slurm", "skip")]
    text = summary(manifest([each.case_id for each in records], records), effective(records), colour=True)
    assert GREEN not in text
    assert "Nothing passed, so nothing is validated" in text
    assert "Exit code 1" in text


def test_without_records_all_cases_are_missing_and_nothing_is_green() -> None:
    text = summary(manifest(["psij/a@slurm", "psij/b@slurm"], []), {}, colour=True)
    assert GREEN not in text
    assert "missing 2" in text
    assert "2 did not report" in text


@pytest.mark.parametrize("outcome", ["fail", "error", "infra", None])
def test_a_pass_beside_a_problem_is_not_green(outcome: str | None) -> None:
    records = [record("psij/a@slurm"), *([record("psij/b@slurm", outcome)] if outcome else [])]
    text = summary(manifest(["psij/a@slurm", "psij/b@slurm"], records), effective(records), colour=True)
    assert GREEN not in text


def test_a_pass_on_an_emulated_scheduler_is_marked_and_not_green() -> None:
    records = [record("psij/a@lsf")]
    table = summary(manifest(["psij/a@lsf"], records), effective(records), colour=True).split("\n\n")[0]
    assert "lsf (emulated)" in table
    assert GREEN not in table


def test_a_pass_without_problems_is_green() -> None:
    whole, records = passing()
    text = summary(whole, effective(records), colour=True)
    assert text.count(f"{GREEN}1 pass") == 5
    assert f"{GREEN}Passed: 5 cases passed and none failed" in text


def test_every_problem_is_followed_by_its_cause_and_the_command_that_repeats_it() -> None:
    whole, records = everything()
    text = summary(whole, effective(records), colour=False)
    assert (
        "FAIL  parsl/htex:blocks=2@slurm   at fault: component - answer-asserted\n"
        "      cause     assert outcome.answer['blocks'] == 2: the payload answered 1\n"
        "      rule      answer-asserted, phase run\n"
        f"      again     exaworks rerun {whole.run_id} parsl/htex:blocks=2@slurm"
    ) in text
    assert "FAIL  radical.entk/ensemble@local   at fault: distribution" in text
    assert "      also      FAIL radical.entk/ensemble@slurm" in text
    assert "INFRA  radical.pilot/pilot@slurm" in text
    assert "missing  parsl/files@slurm\n      planned, but without a record" in text


def test_skips_are_grouped_by_reason() -> None:
    whole, records = everything()
    text = summary(whole, effective(records), colour=False)
    assert "  2 x no `swift-t` on PATH of deployment release" in text
    assert "      swift-t@local, swift-t@slurm\n  1 x turbine 1.5.2 has no submitter for lsf" in text


def test_the_last_lines_contain_counts_verdict_and_exit_code() -> None:
    whole, records = everything()
    lines = summary(whole, effective(records), colour=False).splitlines()
    assert "25 planned: 14 pass, 3 FAIL, 1 ERROR, 1 INFRA, missing 1, 1 xpass, 1 xfail, 3 skip" in lines
    assert lines[-1] == "Exit code 1: a case failed, reached no verdict or is missing, or only control cases passed"


def test_many_cases_with_one_cause_are_shown_once_with_a_few_names_and_the_rest_is_counted() -> None:
    records = [record(f"psij/{number}@slurm", "fail") for number in range(10)]
    text = summary(manifest([each.case_id for each in records], records), effective(records), colour=False)
    assert text.count("exaworks rerun") == 1
    assert text.count("      also ") == 3
    assert "and 6 more, see report.html" in text
    assert "1 cause explains 10 failures:\n  1. " in text


def test_hostile_strings_cannot_control_the_terminal() -> None:
    cause = Cause(phase=Phase.RUN, cls=CauseClass.UNKNOWN, rule=HOSTILE, evidence=HOSTILE)
    records = [
        record(f"psij/{HOSTILE}@slurm", "fail", cause=cause, reproduce=HOSTILE, tail=HOSTILE),
        record("psij/b@slurm", "skip", cause=cause),
    ]
    text = summary(manifest([each.case_id for each in records], records), effective(records), colour=False)
    assert not set(text) & {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\n", "\t"}
    text.encode("utf-8")


def test_the_report_itself_is_ascii() -> None:
    whole, records = everything()
    assert summary(whole, effective(records), colour=True).isascii()


def test_a_run_without_planned_cases_states_that() -> None:
    assert "No case was planned." in summary(manifest([], []), {}, colour=False)
