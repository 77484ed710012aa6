"""Each way in which a payload can end, and its verdict: real payloads, run by plain pytest with ``--site``."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.running import running
from tests.sdk_tests.bench import Bench

ENDINGS = {
    "good": ("print('{\"value\": 42}')", ("pass",)),
    "silent": ("pass", ("error", "harness", "no-answer")),
    "twice": ("print('{}'); print('{}')", ("error", "harness", "several-answers")),
    "chatty": ("print('hello'); print('{}')", ("error", "harness", "no-answer")),
    "trailing": ("print('{}'); print('bye')", ("error", "harness", "garbled-answer")),
    "listed": ("print('[1]')", ("error", "harness", "no-answer")),
    "notanumber": ("print('{\"x\": NaN}')", ("error", "harness", "no-answer")),
    "binary": ("import os; os.write(1, b'\\xff\\xfe{}')", ("error", "harness", "no-answer")),
    "flood": ("import os\nfor _ in range(1000): os.write(1, b'x' * 100000)", ("error", "harness", "no-answer")),
    "raises": ("raise ValueError('no such queue: blue')", ("fail", "component", "payload-failed")),
    "imports": ("import nothing_of_that_name", ("fail", "distribution", "package-missing")),
    "segfault": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", ("fail", "component", "killed-by-signal")),
    "full": ("raise OSError(28, 'No space left on device')", ("infra", "site", "disk-full")),
    "hangs": ("import time; time.sleep(100)", ("fail", "component", "time-limit")),
    "stubborn": (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(100)",
        ("fail", "component", "time-limit"),
    ),
}


def test_each_ending_of_a_payload_has_an_outcome_and_a_cause(bench: Bench) -> None:
    for name, (source, _) in ENDINGS.items():
        bench.case(name, source, walltime=3.0)
    result = bench.run()
    assert {name: result.verdict(f"python/{name}@local") for name in ENDINGS} == {
        name: expected for name, (_, expected) in ENDINGS.items()
    }
    assert result.code == 1
    assert "no such queue: blue" in result.evidence("python/raises@local")
    assert "SIGSEGV" in result.evidence("python/segfault@local")
    assert "100000000 bytes" in result.evidence("python/flood@local")
    closed = result.run.manifest.closed
    assert closed is not None
    assert (closed.planned, closed.recorded, closed.missing) == (len(ENDINGS), len(ENDINGS), 0)
    tails = [record.evidence.output_tail or "" for record in result.run.records()]
    assert max(map(len, tails)) <= 8192


def test_the_test_function_judges_the_answer_and_its_own_error_is_not_the_components_fault(bench: Bench) -> None:
    right = bench.case("right", "print('{\"value\": 42}')", "assert outcome.answer['value'] == 42")
    wrong = bench.case("wrong", "print('{\"value\": 41}')", "assert outcome.answer['value'] == 42, 'off by one'")
    broken = bench.case("broken", "print('{}')", "assert outcome.answer['value'] == 42")
    skipped = bench.case("skipped", "print('{}')", "import pytest\npytest.skip('nothing to see')")
    result = bench.run()
    assert result.verdict(right) == ("pass",)
    assert result.verdict(wrong) == ("fail", "component", "assertion")
    assert "off by one" in result.evidence(wrong)
    assert result.verdict(broken) == ("error", "harness", "judge-raised")
    assert result.verdict(skipped) == ("skip", "harness", "skipped-by-case")
    assert result.code == 1


def test_a_known_failure_is_xfail_and_if_it_passes_xpass(bench: Bench) -> None:
    known = bench.case("known", "raise SystemExit(3)", xfail="upstream bug")
    cured = bench.case("cured", xfail="upstream bug")
    fine = bench.case("fine")
    result = bench.run()
    assert result.verdict(known) == ("xfail", "component", "known-failure")
    assert result.verdict(cured) == ("xpass", "component", "unexpected-pass")
    assert result.verdict(fine) == ("pass",)
    assert result.code == 0


def test_a_missing_component_fails_if_the_site_promises_it_and_is_skipped_otherwise(bench: Bench) -> None:
    bench.site_additions = "promises: [swift-t]\n"
    promised = bench.case("promised", component="swift-t")
    unpromised = bench.case("unpromised", component="flux")
    fine = bench.case("fine")
    result = bench.run(PATH="/usr/bin:/bin")
    assert result.verdict(promised) == ("fail", "distribution", "promised-absent")
    assert result.verdict(unpromised) == ("skip", "distribution", "not-deployed")
    assert "no `flux` on PATH" in result.evidence(unpromised)
    assert result.verdict(fine) == ("pass",)
    assert result.code == 1


def test_a_run_with_nothing_but_skips_fails(bench: Bench) -> None:
    bench.case("unpromised", component="flux")
    result = bench.run(PATH="/usr/bin:/bin")
    assert result.code == 1
    closed = result.run.manifest.closed
    assert closed is not None
    assert closed.counts["skip"] == 1


def test_a_run_in_which_only_the_control_case_passes_fails(bench: Bench) -> None:
    control = bench.case("hello", component="control", where="control", tier="smoke")
    bench.case("unpromised", component="flux")
    result = bench.run(PATH="/usr/bin:/bin")
    assert result.verdict(control) == ("pass",)
    closed = result.run.manifest.closed
    assert closed is not None
    assert (result.code, closed.counts["pass"], closed.counts["skip"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--case", "nothing/*"), "--case 'nothing/*' matches no case on this system"),
        (("--case", "python/fine", "--case", "python/fien"), "--case 'python/fien' matches no case on this system"),
        (
            ("--case", "python/big"),
            "--case 'python/big' matches only cases that tier integration does not include; use --tier scale",
        ),
        (("--component", "pyhton"), "--component pyhton matches no case on this system"),
        (
            ("--component", "python", "--tier", "smoke"),
            "only cases that tier smoke does not include; use --tier integration",
        ),
    ],
)
def test_a_part_of_the_selection_that_matches_no_case_is_a_usage_error_and_nothing_runs(
    bench: Bench, options: tuple[str, ...], message: str
) -> None:
    bench.case("hello", component="control", where="control", tier="smoke")
    bench.case("fine")
    bench.case("big", tier="scale")
    result = bench.run(*options)
    assert result.code == 2
    assert result.folder is None
    assert message in result.output


def test_if_the_control_case_fails_the_site_is_blamed_for_other_failures(bench: Bench) -> None:
    """The control case fails last: what has not ended by then is cancelled."""
    ends = [bench.folder / name for name in ("failing", "asserting", "fine")]
    touch = "import pathlib, sys; pathlib.Path({!r}).touch()\n"
    others = f"while not all(pathlib.Path(each).exists() for each in {list(map(str, ends))}):"
    wait = f"import pathlib, time\n{others}\n    time.sleep(0.05)\ntime.sleep(2)\nraise SystemExit(1)"
    control = bench.case("hello", wait, component="control", where="control")
    failing = bench.case("failing", touch.format(str(ends[0])) + "raise SystemExit(4)")
    asserting = bench.case("asserting", touch.format(str(ends[1])) + "print('{}')", "assert outcome.answer")
    fine = bench.case("fine", touch.format(str(ends[2])) + "print('{}')")
    result = bench.run()
    assert result.verdict(control) == ("infra", "site", "control-failed")
    assert result.verdict(failing) == ("infra", "site", "control-failed")
    assert result.verdict(asserting) == ("infra", "site", "control-failed")
    assert "exited with 4" in result.evidence(failing)
    assert result.verdict(fine) == ("pass",)
    assert result.code == 3


def test_infrastructure_failures_are_retried_as_often_as_the_site_allows_and_each_attempt_has_a_record(
    bench: Bench,
) -> None:
    bench.retries = 2
    marker = bench.folder / "tried"
    source = f"""
        import json, pathlib, sys
        marker = pathlib.Path({str(marker)!r})
        tries = int(marker.read_text()) if marker.exists() else 0
        marker.write_text(str(tries + 1))
        if tries < 1:
            raise OSError(28, "No space left on device")
        print("{{}}")
    """
    flaky = bench.case("flaky", source)
    result = bench.run()
    first, second = result.records(flaky)
    assert (first.verdict.outcome.value, first.retries.final) == ("infra", False)
    assert (second.verdict.outcome.value, second.retries.final) == ("pass", True)
    assert second.retries.supersedes == first.record_id
    assert result.code == 0
    assert result.output.count("1 passed") == 1


def test_a_component_failure_is_never_retried(bench: Bench) -> None:
    bench.retries = 2
    failing = bench.case("failing", "raise SystemExit(4)")
    assert len(bench.run().records(failing)) == 1


def test_pytests_own_junit_file_counts_the_cases(bench: Bench) -> None:
    bench.case("good")
    bench.case("bad", "raise SystemExit(4)")
    path = bench.folder / "own.xml"
    bench.run("--junitxml", str(path))
    suite = ElementTree.parse(path).getroot()[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("2", "1", "0")


def test_the_run_folder_contains_the_documented_files_and_its_private_part_is_closed_to_others(bench: Bench) -> None:
    bench.case("good", "import sys; print('a line', file=sys.stderr); print('{}')")
    result = bench.run()
    folder: Path = result.run.path
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "records.jsonl",
        "junit.xml",
        "report.html",
        "private",
    }
    assert (folder / "private").stat().st_mode & 0o777 == 0o700
    assert "python/good@local" in (folder / "report.html").read_text().replace("<wbr>", "")
    for line in (folder / "records.jsonl").read_text().splitlines():
        assert json.loads(line)["evidence"]["output_tail"] == "a line\n"


@pytest.mark.parametrize("option", ["--setup-only", "--setup-plan"])
def test_options_with_which_nothing_would_be_judged_are_refused(bench: Bench, option: str) -> None:
    bench.case("good")
    result = bench.run(option)
    assert result.code != 0
    assert "cannot be combined" in result.output


def test_without_site_the_plugin_is_inactive_and_a_case_fails_with_advice(bench: Bench) -> None:
    bench.case("good")
    command = [word for word in bench.command() if word not in ("--site", "test/box", "--no-upload")]
    import subprocess

    done = subprocess.run(command, env=bench.environ(), cwd=bench.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "add --site auto" in done.stdout


def test_orphan_processes_of_a_payload_are_killed_and_recorded(bench: Bench) -> None:
    source = """
        import os, subprocess
        subprocess.Popen(["sleep", "4321"], start_new_session=True)
        subprocess.Popen(["sleep", "4322"])
        print("{}", flush=True)
    """
    case_id = bench.case("orphans", source)
    result = bench.run()
    assert result.only(case_id).extras["orphan_processes"] == ["sleep", "sleep"]
    assert running("sleep 432[12]") == []


def test_payloads_get_the_environment_of_the_deployment_and_none_of_the_harness_s_secrets(bench: Bench) -> None:
    source = """
        import json, os, sys
        print(json.dumps({"env": dict(os.environ), "prefix": sys.prefix}))
    """
    body = """
        import sys
        env = outcome.answer["env"]
        assert not [name for name in env if name.startswith(("EXAWORKS_", "PYTEST_")) and "MARK" not in name]
        assert outcome.answer["prefix"] == sys.prefix
        assert env["PATH"].split(":")[0] == sys.prefix + "/bin"
    """
    case_id = bench.case("environment", source, body)
    result = bench.run(EXAWORKS_COLLECTOR_TOKEN="very-secret-token-1234567890")
    assert result.verdict(case_id) == ("pass",), result.evidence(case_id)
    assert b"very-secret-token" not in (result.run.path / "records.jsonl").read_bytes()


def test_a_retired_system_can_only_be_rehearsed(bench: Bench) -> None:
    bench.site = bench.site.replace("description", "state: retired\ndescription")
    bench.case("good")
    result = bench.run()
    assert result.code != 0
    assert result.folder is None
    assert "is retired" in result.output
    assert "exaworks rehearse" in result.output


def test_cases_name_kinds_of_scheduler_and_cells_the_schedulers_own_name(bench: Bench) -> None:
    nested = "{kind: flux, name: far, nested: true, within: near}"
    bench.site_additions = f"schedulers: [{{kind: lsf, name: near}}, {nested}]\n"
    case_id = bench.case("everywhere", schedulers=("*",))
    result = bench.run()
    assert result.verdict(case_id) == ("pass",)
    assert result.verdict("python/everywhere@near") == ("skip", "site", "scheduler-absent")
    assert result.verdict("python/everywhere@near+far") == ("skip", "site", "scheduler-absent")
    assert "inside near" in result.evidence("python/everywhere@near+far")
