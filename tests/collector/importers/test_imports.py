"""The reports of other tools, recorded from their real clients, are counted correctly and once."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from collector.errors import Problem
from collector.importers.common import instant, one_line, valid_name
from collector.importers.e4s import read_e4s
from collector.importers.junit import read_junit
from collector.importers.legacy import read_legacy_message
from dashboard_client.schema import Outcome
from tests.collector.process import Collector, tool

GOLDEN = Path(__file__).parent / "golden"


def requests_of(name: str, **changes: Any) -> list[bytes]:
    """Return recorded requests, with another id or key."""
    lines = (GOLDEN / f"{name}.jsonl").read_text().splitlines()
    return [json.dumps(json.loads(line) | changes).encode() for line in lines]


def token_of(served: Collector, site: str = "ornl") -> str:
    done = tool(served.home, "token", "new", site, *served.arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def send(served: Collector, bodies: list[bytes]) -> str:
    """Send messages as an old client does, without an Authorization header; return the id of their run."""
    answers = [served.post("/result", body, token=None) for body in bodies]
    assert [answer.status_code for answer in answers] == [200] * len(bodies), answers[-1].text
    (run_id,) = {answer.json()["run_id"] for answer in answers}
    return str(run_id)


@pytest.mark.parametrize(
    ("recorded", "system", "outcomes"),
    [
        (
            "psij_python",
            "a.example.org",
            {
                "psij/test_executor.test_simple_job@local/single": "pass",
                "psij/test_executor.test_simple_job@local/multiple": "pass",
            },
        ),
        (
            "psij_python_failures",
            "b.example.org",
            {
                "psij/test_zz_shapes.test_that_fails@local": "fail",
                "psij/test_zz_shapes.test_whose_setup_fails@local": "error",
            },
        ),
        (
            "psij_python_minimal",
            "c.example.org",
            {
                "psij/test_zz_shapes.test_that_fails@local": "fail",
                "psij/test_zz_shapes.test_whose_setup_fails@local": "error",
            },
        ),
        (
            "sdk_github",
            "d.example.org",
            {"parsl/Sanity-Checks-df9c2acc@local": "pass", "flux/Sanity-Checks-df9c2acc@local": "fail"},
        ),
        ("sdk_gitlab", "e.example.org", {"parsl/pip@local": "pass", "flux/pip@local": "fail"}),
    ],
)
def test_events_are_not_counted_as_tests_and_a_replay_in_any_order_adds_nothing(
    collector: Collector, recorded: str, system: str, outcomes: dict[str, str]
) -> None:
    bodies = requests_of(recorded, id=system, key=token_of(collector))
    run_id = send(collector, bodies)
    shown = collector.get(f"/api/v1/runs/{run_id}").json()
    assert shown["outcomes"] == outcomes
    assert (shown["site"], shown["system"], shown["state"], shown["records"]) == ("ornl", system, "complete", 2)
    assert shown["exit_code"] == int("fail" in outcomes.values())
    for order in (bodies, bodies[::-1], [bodies[2], bodies[1]]):
        assert send(collector, order) == run_id
    assert collector.get(f"/api/v1/runs/{run_id}").json() == shown


def test_the_ids_of_psij_pythons_own_suite_name_executor_and_launcher(collector: Collector) -> None:
    bodies = requests_of("psij_python_batch", id="own.example.org", key=token_of(collector))
    shown = collector.get(f"/api/v1/runs/{send(collector, bodies)}").json()
    tests = {
        "test_simple_job": ("local/single", "batch-test/single", "batch-test/multiple", "batch-test/batch-test"),
        "test_failing_job": ("local/single", "batch-test/single"),
        "test_submit_script_generation": ("batch-test", "lsf"),
    }
    expected = {f"psij/test_executor.{name}@{place}": "pass" for name, places in tests.items() for place in places}
    assert (shown["outcomes"], shown["state"]) == (expected, "complete")


def test_every_order_of_arrival_gives_the_same_run(collector: Collector) -> None:
    shown = []
    token = token_of(collector)
    for number, order in enumerate(list(itertools.permutations(range(4)))[::3]):
        bodies = requests_of("psij_python_failures", id=f"order{number}.example.org", key=token)
        run = collector.get(f"/api/v1/runs/{send(collector, [bodies[place] for place in order])}").json()
        shown.append((sorted(run["outcomes"].items()), run["started"], run["state"], run["records"]))
    assert shown == [shown[0]] * 8
    assert shown[0][1] == "2026-11-22T13:55:23.678Z"


def test_without_the_start_event_no_result_is_lost_and_a_repeated_test_is_another_attempt(collector: Collector) -> None:
    bodies = requests_of("sdk_gitlab", id="lost.example.org", key=token_of(collector))
    run_id = send(collector, bodies[1:3])
    assert collector.get(f"/api/v1/runs/{run_id}").json()["records"] == 2
    changed = json.loads(bodies[2])
    changed["data"]["results"]["call"] |= {"passed": True, "status": "passed"}
    for _ in range(2):
        send(collector, [json.dumps(changed).encode()])
        shown = collector.get(f"/api/v1/runs/{run_id}").json()
        assert (shown["records"], shown["outcomes"]["flux/pip@local"]) == (3, "pass")


def test_the_record_of_an_old_client_contains_what_it_sent(collector: Collector) -> None:
    run_id = send(collector, requests_of("psij_python_failures", id="known.example.org", key=token_of(collector)))
    records = collector.get(f"/api/v1/runs/{run_id}/records").json()["records"]
    (failed,) = [record for record in records if record["verdict"]["outcome"] == "fail"]
    assert failed["origin"] == "psij"
    assert failed["verdict"]["cause"]["evidence"] == "AssertionError: assert 'Hello' == 'Hello World!'"
    assert "out of the test" in failed["evidence"]["output_tail"]
    assert "\x1b" not in failed["evidence"]["output_tail"]
    assert failed["timing"]["run"] == {"seconds": 0.23, "source": "harness"}
    assert failed["extras"]["sent"]["test_name"] == "test_that_fails"


def test_the_executor_of_a_psij_test_is_the_scheduler_of_its_case_also_with_a_hyphen() -> None:
    (body, *_) = [line for line in requests_of("psij_python") if b"test_simple_job" in line]
    message = json.loads(body)
    for parameters, case in (
        ("batch-test:multiple", "psij/test_executor.test_simple_job@batch-test/multiple"),
        ("batch-test:batch-test", "psij/test_executor.test_simple_job@batch-test/batch-test"),
        ("slurm:srun", "psij/test_executor.test_simple_job@slurm/srun"),
    ):
        message["data"]["test_name"] = f"test_simple_job[{parameters}]"
        assert read_legacy_message(json.dumps(message).encode()).test().case_id == case


def test_an_old_client_without_a_valid_key_is_refused(collector: Collector) -> None:
    (body, *_) = requests_of("sdk_github")
    for changes, status in (
        ({"key": ""}, 401),
        ({"key": " "}, 401),
        ({"key": "42"}, 401),
        ({"key": "exw_00000000_" + "A" * 43}, 401),
        ({"key": None}, 422),
        ({"id": ""}, 422),
        ({"data": []}, 422),
        ({"data": {"run_id": {"a": 1}}}, 422),
    ):
        answer = collector.post("/result", json.dumps({"key": "k"} | json.loads(body) | changes).encode(), token=None)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), changes
    read = tool(collector.home, "token", "new", "ornl", "--scope", "read", *collector.arguments).stdout.strip()
    assert collector.post("/result", requests_of("sdk_github", key=read)[0], token=None).status_code == 403


def test_an_administrator_maps_an_old_id_and_key_to_a_site(collector: Collector) -> None:
    key = collector.home / "legacy-key"
    key.write_text("42\n")
    arguments = ("sender", "add", "Github Actions", "exaworks", "--system", "github", "--key-file", str(key))
    assert tool(collector.home, *arguments, *collector.arguments).returncode == 0
    run_id = send(collector, requests_of("sdk_github"))
    shown = collector.get(f"/api/v1/runs/{run_id}").json()
    assert (shown["site"], shown["system"], shown["records"]) == ("exaworks", "github", 2)
    wrong = collector.post("/result", requests_of("sdk_github", key="43")[0], token=None)
    assert wrong.status_code == 401
    assert tool(collector.home, "sender", "remove", "Github Actions", *collector.arguments).returncode == 0
    assert collector.post("/result", requests_of("sdk_github")[0], token=None).status_code == 401


JUNIT = {
    "pytest": {
        "imported/tests.test_zz_shapes.test_that_fails@local": "fail",
        "imported/tests.test_zz_shapes.test_that_is_skipped@local": "skip",
        "imported/tests.test_zz_shapes.test_whose_setup_fails@local": "error",
    },
    "reframe": {
        "imported/hello.HelloTest:word=Hello:generic:default+builtin@local": "pass",
        "imported/hello.HelloTest:word=Bye:generic:default+builtin@local": "fail",
    },
}


@pytest.mark.parametrize("tool_name", JUNIT)
def test_junit_of_a_real_tool_becomes_a_run_and_sending_it_twice_changes_nothing(
    collector: Collector, tool_name: str
) -> None:
    body = (GOLDEN / f"{tool_name}.xml").read_bytes()
    path = f"/api/v1/import/junit?system={tool_name}"
    first = collector.post(path, body, token=token_of(collector), Content_Type="application/xml")
    assert first.status_code == 200, first.text
    again = collector.post(path, body, token=token_of(collector), Content_Type="application/xml")
    assert again.json() == first.json() | {"stored": False}
    shown = collector.get(f"/api/v1/runs/{first.json()['run_id']}").json()
    assert shown["outcomes"] == JUNIT[tool_name]
    assert (shown["site"], shown["state"], shown["started"][:10]) == ("ornl", "complete", "2026-11-22")


def test_a_package_that_spack_built_is_one_case_also_if_several_specs_needed_it() -> None:
    report = read_junit((GOLDEN / "spack_install.xml").read_bytes(), None, "local")
    by_case = {each.case_id: each for each in report.findings}
    assert len(by_case) == len(report.findings)
    assert report.started == "2026-11-22T22:34:19.000Z"
    built, installed, failed = (
        by_case[f"imported/build:package={name}@local"] for name in ("py-psij-python", "gcc", "libsigsegv")
    )
    assert (built.outcome, built.dag_hash, built.seconds) == (
        Outcome.PASS,
        "jpaarh2rjhqp7yvpxavnccc2nhitibec",
        0.18723630905151367,
    )
    assert (installed.outcome, installed.evidence.partition(":")[0]) == (Outcome.SKIP, "Spack did not build it")
    assert (failed.outcome, failed.evidence[:46]) == (
        Outcome.FAIL,
        "spack.error.FetchError: All fetchers failed fo",
    )
    assert "Installation of libsigsegv failed" in (failed.output or "")


def test_a_package_without_tests_is_skipped_although_spack_reports_a_pass() -> None:
    report = read_junit((GOLDEN / "spack_test.xml").read_bytes(), None, "local")
    assert [(test.case_id, test.outcome, test.version) for test in report.findings] == [
        ("imported/test:package=py-psij-python@local", Outcome.FAIL, "0.9.11"),
        ("imported/test:package=py-ply@local", Outcome.PASS, "3.11"),
        ("imported/test:package=python-venv@local", Outcome.SKIP, "1.0"),
    ]
    assert report.findings[2].evidence == "the package has no tests that Spack can run"
    assert report.findings[0].evidence == "ImportError: broken on purpose"


def test_the_worst_of_several_builds_of_a_package_counts() -> None:
    """The failed build is first in the report, and a cell displays the last attempt."""
    case = '<testcase classname="zlib" name="{}" time="1">{}</testcase>'
    one, other, third = "a" * 32, "b" * 32, "c" * 32
    cases = [case.format(one, "<failure/>"), case.format(other, ""), case.format(one, "<skipped/>")]
    body = f"<testsuite name='zlib'>{''.join(cases)}{case.format(third, '<skipped/>')}</testsuite>".encode()
    attempts = [(test.attempt, test.outcome, test.dag_hash) for test in read_junit(body, None, "local").findings]
    assert attempts == [(1, Outcome.SKIP, third), (2, Outcome.PASS, other), (3, Outcome.FAIL, one)]
    for component, case in (("exaworks", "exaworks/build:package=zlib@local"), ("zlib", "zlib/build@local")):
        assert {test.case_id for test in read_junit(body, component, "local").findings} == {case}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"<testsuites>", 400),
        (b"<html/>", 422),
        (b"<testsuites/>", 422),
        (b'<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><testsuites>&y;</testsuites>', 422),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><testsuites/>', 422),
        (b"\xff\xfe", 400),
        (b'<?xml version="1.0" encoding="nonsense"?><testsuites/>', 400),
    ],
)
def test_a_file_that_is_not_junit_gets_a_problem_document(collector: Collector, body: bytes, status: int) -> None:
    answer = collector.post(
        "/api/v1/import/junit?system=s&site=ornl", body, token="token-of-this-process", Content_Type="text/xml"
    )
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_result_file_of_the_real_e4s_testsuite_becomes_a_run(collector: Collector) -> None:
    body = (GOLDEN / "e4s_testsuite.json").read_bytes()
    path = "/api/v1/import/e4s?system=polaris&run=e4s-1&modified=2026-11-22T14:00:00Z"
    answer = collector.post(path, body, token=token_of(collector, "anl"))
    assert answer.json()["counts"] == {"skip": 1, "fail": 2, "pass": 1}
    shown = collector.get("/api/v1/runs/e4s-1").json()
    assert shown["outcomes"]["imported/e4s.hello-mpi@local"] == "pass"
    assert shown["outcomes"]["imported/e4s.broken-compile@local"] == "fail"


def test_an_e4s_list_that_is_not_closed_is_accepted() -> None:
    entry = '{"test": "zlib", "test_stages": {"setup": "pass", "run": "pass"}}'
    for text in (f"[\n{entry},\n", f"[\n{entry},\n]", f"[{entry},{{}}]", f"[{entry}]"):
        assert [test.outcome.value for test in read_e4s(text.encode(), "local")] == ["pass"]
    (test,) = read_e4s(f"[{entry}]".encode(), "local", "zlib")
    assert (test.component, test.case_id) == ("zlib", "zlib/e4s.zlib@local")
    for wrong in ("{}", "[]", '[{"test": 1}]', "[", '[{"test": "a", "test_stages": []}]'):
        with pytest.raises(Problem):
            read_e4s(wrong.encode(), "local")


def test_an_import_needs_a_system_and_the_site_of_its_token(collector: Collector) -> None:
    body, token = (GOLDEN / "pytest.xml").read_bytes(), token_of(collector)
    for query, status in (("", 422), ("?system=a/b", 422), ("?system=s&site=anl", 403)):
        answer = collector.post(f"/api/v1/import/junit{query}", body, token=token, Content_Type="text/xml")
        assert answer.status_code == status
    assert collector.post("/api/v1/import/junit?system=s", body, token=None, Content_Type="text/xml").status_code == 401
    assert (
        collector.post("/api/v1/import/junit?system=s", body, token=token, Content_Type="text/html").status_code == 415
    )


def test_names_and_instants_of_other_tools_are_converted() -> None:
    assert valid_name("login1.example.org") == "login1.example.org"
    assert valid_name("Github Actions") != valid_name("Github  Actions")
    assert len(valid_name("x" * 500)) == 128
    assert instant("2026-11-22 13:55:23.904461+01:00") == "2026-11-22T12:55:23.904Z"
    assert instant("2026-11-22 13:55:23") == "2026-11-22T13:55:23.000Z"
    assert (instant("soon"), instant(None)) == (None, None)
    assert one_line("x\nE   AssertionError: no\nE     more\nfile.py:3: AssertionError") == "AssertionError: no"
    with pytest.raises(Problem):
        read_legacy_message(b"\xff")
