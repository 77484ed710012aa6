"""``exaworks explain``: the whole chain for one case, and the causes of a run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from click.testing import CliRunner, Result

from dashboard_client.causes import root_causes
from dashboard_client.cli_explain import explain
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Component, Deployment, Diagnosis, Log, Outcome, Stack
from tests.dashboard_client.samples import CASES, closing, finished_run, manifest, record
from tests.dashboard_client.test_schema_versions import SCHEMA_1

CONTROL, PSIJ, PARSL = CASES
LOG = "work/2/manager.log"
DIAGNOSIS = Diagnosis(
    title="a file system is full",
    cause_key="disk-full",
    expected="'DONE'",
    got="'FAILED'",
    line="ERROR OSError: [Errno 28] No space left on device",
    source="manager.log",
    advice="make room",
    answer='{"state":"FAILED"}',
    logs=[
        Log(component="parsl", path=LOG, size=80, lines=["ERROR OSError: [Errno 28] No space left on device"]),
        Log(component="slurm", path="logs/2/scontrol-show-job-7.txt", size=20, lines=["JobState=FAILED"]),
    ],
)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs: one in which everything passed, and a later one in which two cases failed for one reason."""
    folder = tmp_path / "runs"
    stack = Stack(
        deployment=Deployment(name="default", kind="venv", digest="f" * 64),
        components=[Component(name="parsl", version="2026.09.01")],
        python="3.11.2",
    )
    finished_run(folder, started="2026-11-21T12:00:00Z", run_id="20261121T120000Z-workstation-aaaaaa", stack=stack)
    opened = manifest()
    run = RunFolder.create(folder, opened)
    with run.lock():
        run.append(record(CONTROL, of=opened))
        for case_id, blocked_by in ((PSIJ, "disk-full"), (PARSL, None)):
            failed = record(case_id, Outcome.FAIL, of=opened)
            diagnosis = msgspec.structs.replace(DIAGNOSIS, blocked_by=blocked_by)
            run.append(msgspec.structs.replace(failed, diagnosis=diagnosis))
    run.close(closing(exit_code=1))
    original = run.private / LOG
    original.parent.mkdir(parents=True)
    original.write_text(
        "INFO start\nINFO work\nERROR OSError: [Errno 28] No space left on device: '/secret'\nINFO end\n"
    )
    return folder


def invoke(runs: Path, *arguments: str) -> Result:
    return CliRunner().invoke(explain, arguments, obj=SimpleNamespace(runs=runs))


def test_without_a_case_the_causes_are_listed_each_with_the_cases_that_it_explains(runs: Path) -> None:
    text = invoke(runs).output
    assert "1 cause explains 2 failures" in text
    assert "1. a file system is full   at fault: component" in text
    assert text.index(PARSL) < text.index(PSIJ), "the case that shows the cause comes before one that it blocked"


@pytest.mark.parametrize("arguments", [("last", PARSL), (PARSL,), ("parsl/*",), ("last", "*parsl*")])
def test_a_case_is_found_by_its_id_or_by_a_pattern_that_matches_one(runs: Path, arguments: tuple[str, ...]) -> None:
    assert invoke(runs, *arguments).output.startswith(f"FAIL  {PARSL}")


def test_all_parts_of_the_chain_are_printed(runs: Path) -> None:
    text = invoke(runs, PARSL).output
    for part in (
        "at fault   component: a file system is full",
        "expected   'DONE'",
        "got        'FAILED'",
        "to do      make room",
        "again      exaworks rerun",
        f"around the cause, in private/{LOG}",
        "  2: INFO work",
        "> 3: ERROR OSError",
        "  4: INFO end",
        "slurm: private/logs/2/scontrol-show-job-7.txt (20 bytes, not on this machine)",
        "JobState=FAILED",
        '"state": "FAILED"',
        "since it last passed, in 20261121T120000Z-workstation-aaaaaa",
        "component parsl: 2026.09.01 -> 2026.10.26",
        f"the same cause\n    {PSIJ}",
    ):
        assert part in text, part


def test_an_unknown_case_and_an_ambiguous_one_are_refused_with_the_names(runs: Path) -> None:
    unknown = invoke(runs, "last", "nothing/at@all")
    assert (unknown.exit_code, "no such case" in unknown.output) == (2, True)
    several = invoke(runs, "last", "hello")
    assert several.exit_code == 2
    assert PSIJ in several.output


def test_a_pass_is_no_failure_and_a_case_without_a_record_is_explained(runs: Path, tmp_path: Path) -> None:
    assert "The case passed." in invoke(runs, CONTROL).output
    opened = RunFolder.create(tmp_path / "other", manifest())
    text = invoke(tmp_path / "other", "last", CONTROL).output
    assert f"exaworks validate --resume {opened.manifest.run_id}" in text


def test_json_has_record_last_pass_and_the_cases_of_the_same_cause(runs: Path) -> None:
    tree = json.loads(invoke(runs, "last", PARSL, "--json").output)
    assert tree["record"]["diagnosis"]["cause_key"] == "disk-full"
    assert tree["last_pass"]["run_id"] == "20261121T120000Z-workstation-aaaaaa"
    assert tree["same_cause"] == [PSIJ]
    causes = json.loads(invoke(runs, "last", "--json").output)["causes"]
    assert [(each["cause_key"], each["cases"]) for each in causes] == [("disk-full", [PARSL, PSIJ])]


def test_a_path_in_a_record_that_leads_out_of_the_private_folder_is_not_read(runs: Path) -> None:
    (runs / "outside.log").write_text("ERROR OSError: [Errno 28] No space left on device, outside\n")
    run = RunFolder.open("last", runs)
    outside = msgspec.structs.replace(DIAGNOSIS.logs[0], path="../../outside.log")
    failed = record(PARSL, Outcome.FAIL, attempt=2, of=run.manifest)
    diagnosis = msgspec.structs.replace(DIAGNOSIS, logs=[outside], source="outside.log")
    run.append(msgspec.structs.replace(failed, diagnosis=diagnosis))
    assert ", outside" not in invoke(runs, PARSL).output


def test_control_characters_of_a_log_do_not_reach_the_terminal(runs: Path) -> None:
    (RunFolder.open("last", runs).private / LOG).write_text(
        "\x1b[2J\x07ERROR OSError: [Errno 28] No space left on device\x1b]0;x\x07\n"
    )
    assert not set(invoke(runs, PARSL).output) & {"\x1b", "\x07"}


def test_a_run_of_schema_1_is_explained_as_far_as_it_goes() -> None:
    result = invoke(SCHEMA_1.parent, str(SCHEMA_1))
    assert result.exit_code == 0
    assert "1 cause explains 2 failures" in result.output
    case = invoke(SCHEMA_1.parent, str(SCHEMA_1), "parsl/htex:blocks=1@local").output
    assert "file too short" in case


def test_causes_with_most_cases_come_first() -> None:
    def failed(case_id: str, key: str) -> msgspec.Struct:
        diagnosis = msgspec.structs.replace(DIAGNOSIS, cause_key=key)
        return msgspec.structs.replace(record(case_id, Outcome.FAIL), diagnosis=diagnosis)

    records = [failed(CONTROL, "a"), failed(PSIJ, "b"), failed(PARSL, "b"), record(CONTROL)]
    assert [(cause.key, len(cause.records)) for cause in root_causes(records)] == [("b", 2), ("a", 1)]  # type: ignore[arg-type]
