"""What a user sees of a cause: on the terminal, in report.html, in JUnit XML, in the JSON summary."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import fromstring

import msgspec

from dashboard_client.schema import Cause, CauseClass, Diagnosis, Log, Manifest, Outcome, Phase, Record
from sdk_tests.report import junit_xml, summary, summary_json
from tests.sdk_tests.report.examples import effective, manifest, record, whole_page

LAUNCHER = Diagnosis(
    title="no MPI launcher",
    cause_key="no-mpi-launcher",
    expected="task DONE, exit code 0",
    got="task FAILED, exit code none",
    line="no launch method for task task.000000",
    source="agent_executing.0000.log",
    advice="install an MPI launcher (mpich, openmpi) or name one under `launchers:` in the site file",
    logs=[
        Log(
            component="radical.pilot",
            path="work/1/agent_executing.0000.log",
            size=99,
            lines=["no launch method for task task.000000"],
        )
    ],
)
LIBRARY = Diagnosis(
    title="parsl cannot be imported in the deployment: ImportError: libzmq.so.5: file too short",
    cause_key="library-damaged:0123456789ab",
    expected="parsl starts",
    got="ImportError: libzmq.so.5: file too short",
    advice="reinstall the package",
    blocked_by="library-damaged:0123456789ab",
)


def failed(case_id: str, diagnosis: Diagnosis, cls: CauseClass, evidence: str) -> Record:
    cause = Cause(phase=Phase.RUN, cls=cls, rule=diagnosis.cause_key.partition(":")[0], evidence=evidence)
    return msgspec.structs.replace(record(case_id, Outcome.FAIL.value, cause=cause), diagnosis=diagnosis)


def run() -> tuple[Manifest, list[Record]]:
    evidence = "agent_executing.0000.log: no launch method for task task.000000"
    records = [
        failed("radical.pilot/service@local", LAUNCHER, CauseClass.SITE, evidence),
        *(
            failed(f"parsl/case{number}@local", LIBRARY, CauseClass.DISTRIBUTION, f"parsl: {LIBRARY.got}")
            for number in range(8)
        ),
        record("psij/hello@local"),
    ]
    return manifest([each.case_id for each in records], records), records


def test_the_terminal_shows_what_was_expected_what_came_the_cause_and_what_to_do() -> None:
    opened, records = run()
    text = summary(opened, effective(records), colour=False)
    assert (
        "FAIL  radical.pilot/service@local   at fault: site - no MPI launcher\n"
        "      expected  task DONE, exit code 0\n"
        "      got       task FAILED, exit code none\n"
        "      cause     agent_executing.0000.log: no launch method for task task.000000\n"
        "      rule      no-mpi-launcher, phase run\n"
        "      to do     install an MPI launcher (mpich, openmpi) or name one under `launchers:` in the site file\n"
    ) in text


def test_the_causes_are_counted_at_the_end_with_the_one_that_explains_most_first() -> None:
    opened, records = run()
    text = summary(opened, effective(records), colour=False)
    assert (
        "2 causes explain 9 failures:\n"
        f"  1. {LIBRARY.title}   (8 cases)   at fault: distribution\n"
        "  2. no MPI launcher   (1 case)   at fault: site\n"
    ) in text


def test_one_failure_needs_no_list_of_causes() -> None:
    _, records = run()
    alone = [records[0]]
    assert "explain" not in summary(manifest([alone[0].case_id], alone), effective(alone), colour=False)


def test_the_page_has_a_table_of_causes_and_all_of_the_diagnosis() -> None:
    page = whole_page(*run())
    for text in (
        "The causes, and how many failures each explains.",
        LIBRARY.title,
        "install an MPI launcher",
        "task FAILED, exit code none",
        "1/agent_executing.0000.log",
        "exaworks rerun",
    ):
        assert text in page


def test_a_failure_in_junit_begins_with_the_title_so_that_equal_causes_have_equal_messages() -> None:
    suites = fromstring(junit_xml(*run()))
    failures = list(suites.iter("failure"))
    messages = [each.get("message") for each in failures]
    assert messages[0] == ("fail: no MPI launcher: agent_executing.0000.log: no launch method for task task.000000")
    assert len(set(messages[1:])) == 1
    assert failures[0].text is not None
    for line in ("Expected: task DONE, exit code 0", "To do: install an MPI launcher", "Cause key: no-mpi-launcher"):
        assert line in failures[0].text


def test_the_json_summary_lists_the_causes_with_their_cases(tmp_path: Path) -> None:
    opened, records = run()
    tree = summary_json(opened, effective(records), tmp_path)
    assert [(cause["cause_key"], len(cause["cases"])) for cause in tree["causes"]] == [
        ("library-damaged:0123456789ab", 8),
        ("no-mpi-launcher", 1),
    ]
    assert tree["cases"][0]["diagnosis"]["advice"] == LAUNCHER.advice
    assert tree["cases"][-1]["diagnosis"] is None


def test_records_of_schema_1_are_grouped_and_shown_by_their_evidence() -> None:
    records = [msgspec.structs.replace(record(f"psij/{n}@local", "fail"), schema=1) for n in range(3)]
    text = summary(manifest([each.case_id for each in records], records), effective(records), colour=False)
    assert "1 cause explains 3 failures:" in text
    assert "FAIL  psij/0@local   at fault: component - answer-asserted" in text
