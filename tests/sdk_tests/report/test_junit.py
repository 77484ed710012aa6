"""The JUnit XML is valid for a strict reader and contains every planned case once."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import msgspec
import pytest

from dashboard_client.schema import Cause, CauseClass, Evidence, Manifest, Phase, Record
from sdk_tests.report.junit import junit_xml
from sdk_tests.report.text import TAIL
from tests.sdk_tests.report.examples import HOSTILE, everything, manifest, passing, record

CAUSE = ({"type", "message"}, set[str]())
RERUN = ({"type", "message"}, {"stackTrace", "system-out", "system-err"})
TEXT = (set[str](), set[str]())
GRAMMAR: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id", "package", "group"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": (
        {"name", "classname", "time", "group"},
        {"skipped", "error", "failure", "rerunFailure", "rerunError", "flakyFailure", "flakyError"}
        | {"system-out", "system-err"},
    ),
    "skipped": CAUSE,
    "error": CAUSE,
    "failure": CAUSE,
    "rerunFailure": RERUN,
    "rerunError": RERUN,
    "flakyFailure": RERUN,
    "flakyError": RERUN,
    "stackTrace": TEXT,
    "system-out": TEXT,
    "system-err": TEXT,
}
"""The attributes and children that xunit2 allows for each element. A case cannot have properties."""
SECONDS = re.compile(r"\d+\.\d{3}")


def read(whole: Manifest, records: list[Record]) -> Element:
    root = ElementTree.fromstring(junit_xml(whole, records))
    for element in root.iter():
        attributes, children = GRAMMAR[element.tag]
        assert set(element.attrib) <= attributes, element.tag
        assert {child.tag for child in element} <= children, element.tag
        assert SECONDS.fullmatch(element.get("time", "0.000"))
        if element.tag.startswith(("rerun", "flaky")):
            assert element.get("type"), "the schema requires it"
            order = [child.tag for child in element]
            assert order == sorted(order, key=["stackTrace", "system-out", "system-err"].index)
    return root


def case(root: Element, case_id: str) -> Element:
    (match,) = (element for element in root.iter("testcase") if element.get("name") == case_id)
    return match


def test_counts_add_up_to_the_planned_cases_in_every_suite_and_in_all() -> None:
    whole, records = everything()
    root = read(whole, records)
    named = sorted(element.get("name", "") for element in root.iter("testcase"))
    assert named == sorted(planned.case_id for planned in whole.planned)
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "")) == sum(each.find(tag) is not None for each in cases)
    assert root.get("tests") == str(len(whole.planned))
    assert (root.get("failures"), root.get("errors")) == ("3", "3")


def test_there_is_one_suite_per_scheduler_and_an_emulated_one_is_marked() -> None:
    root = read(*everything())
    assert [suite.get("name") for suite in root] == ["local", "slurm", "lsf (emulated)"]
    emulated = case(root, "psij/hello@lsf")
    assert emulated.get("classname") == "lsf (emulated).psij"
    assert "The scheduler was emulated" in emulated.findtext("system-out", "")


@pytest.mark.parametrize(
    ("case_id", "tag", "kind"),
    [
        ("parsl/htex:blocks=2@slurm", "failure", "fail.component.answer-asserted"),
        ("parsl/diamond@slurm", "error", "error.unknown.no-answer"),
        ("radical.pilot/pilot@slurm", "error", "infra.site.node-fail"),
        ("parsl/files@slurm", "error", "missing"),
        ("swift-t/hello@local", "skipped", "skip.unknown.not-promised"),
        ("psij+radical.pilot/hello@slurm", "skipped", "xfail.component.waiver"),
        ("parsl+flux/hello@slurm", None, None),
        ("psij/hello@slurm", None, None),
    ],
)
def test_each_outcome_has_its_element(case_id: str, tag: str | None, kind: str | None) -> None:
    children = [child for child in case(read(*everything()), case_id) if child.tag in ("failure", "error", "skipped")]
    assert [(child.tag, child.get("type")) for child in children] == ([(tag, kind)] if tag else [])


def test_the_text_of_a_failure_contains_the_cause_because_gitlab_shows_only_that() -> None:
    failure = case(read(*everything()), "parsl/htex:blocks=2@slurm").find("failure")
    assert failure is not None
    assert failure.get("message") == "fail: assert outcome.answer['blocks'] == 2: the payload answered 1"
    assert (failure.text or "").splitlines() == [
        "assert outcome.answer['blocks'] == 2: the payload answered 1",
        "At fault: the component (rule answer-asserted, phase run)",
        "Reproduce: exaworks validate --case 'parsl/htex:blocks=2@slurm'",
    ]


def test_an_unexpected_pass_is_not_a_failure_and_is_explained() -> None:
    assert "Passed although it is listed as a known failure" in case(
        read(*everything()), "parsl+flux/hello@slurm"
    ).findtext("system-out", "")


def test_the_time_is_the_run_time_of_the_payload_and_is_left_out_if_unknown() -> None:
    root = read(*everything())
    assert case(root, "psij/walltime@slurm").get("time") == "87.400"
    assert case(root, "radical.entk/ensemble@slurm").get("time") is None
    assert case(root, "parsl/files@slurm").get("time") is None


def test_earlier_attempts_are_flaky_if_the_case_passed_and_reruns_if_it_did_not() -> None:
    root = read(*everything())
    assert len(case(root, "psij/multinode@slurm/srun/2n").findall("flakyError")) == 1
    reruns = case(root, "radical.pilot/pilot@slurm").findall("rerunError")
    assert [element.findtext("system-err") for element in reruns] == ["srun: error: n2"]


def test_the_end_of_the_output_of_a_component_is_in_system_err() -> None:
    whole, records = passing()
    long = record("psij/hello@slurm", "fail", tail="x" * 1_000_000 + "the end")
    records = [long if each.case_id == long.case_id else each for each in records]
    shown = case(read(whole, records), "psij/hello@slurm").findtext("system-err", "")
    assert shown.endswith("the end")
    assert len(shown) < TAIL + 100


def test_suites_describe_their_environment() -> None:
    slurm = read(*everything()).findall("testsuite")[1]
    properties = {element.get("name"): element.get("value") for element in slurm.iter("property")}
    assert properties["deployment.release"] == "venv sha256:9b1f0c55aa37"
    assert properties["component.parsl"] == "2026.10.26"
    assert properties["scheduler"] == "slurm 22.05.8"
    assert properties["launcher"] == "srun 22.05.8"
    assert properties["verdict"] == "failed"
    assert properties["exit_code"] == "1"


def test_with_hostile_strings_the_xml_is_valid_and_has_the_same_counts() -> None:
    cause = Cause(phase=Phase.RUN, cls=CauseClass.UNKNOWN, rule=HOSTILE, evidence=HOSTILE)
    records = [
        msgspec.structs.replace(
            record(f"psij/{name}@slurm", outcome, cause=cause),
            evidence=Evidence(output_tail=HOSTILE * 100, reproduce=HOSTILE),
        )
        for name, outcome in (("a", "fail"), ("b", "error"), ("c", "skip"), ("d", "xfail"), (HOSTILE, "infra"))
    ]
    whole = manifest([each.case_id for each in records], records, system=HOSTILE)
    root = read(msgspec.structs.replace(whole, run_id=HOSTILE, release=HOSTILE), records)
    assert [root.get(name) for name in ("tests", "failures", "errors")] == ["5", "1", "2"]


def test_a_run_without_records_has_only_errors_and_a_run_without_cases_is_empty() -> None:
    root = read(manifest(["psij/a@slurm", "psij/b@local"], []), [])
    assert [root.get(name) for name in ("tests", "errors")] == ["2", "2"]
    assert read(manifest([], []), []).get("tests") == "0"
