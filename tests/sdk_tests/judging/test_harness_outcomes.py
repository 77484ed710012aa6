"""Each way a payload can end, and what it is called: real payloads, run by plain pytest with ``--site``."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.sdk_tests.bench import Bench

LIVES = "import sys, time\nopen('alive', 'w').close()\ntime.sleep(60)\n"

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
    "imports": ("import nothing_of_that_name", ("fail", "distribution", "import-failed")),
    "segfault": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", ("fail", "component", "killed-by-signal")),
    "full": ("raise OSError(28, 'No space left on device')", ("infra", "site", "disk-full")),
    "hangs": ("import time; time.sleep(100)", ("fail", "component", "time-limit")),
    "stubborn": (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(100)",
        ("fail", "component", "time-limit"),
    ),
}


def test_each_ending_of_a_payload_has_its_outcome_and_cause(bench: Bench) -> None:
    for name, (source, _) in ENDINGS.items():
        bench.case(name, source, walltime=3.0)
    came = bench.run()
    assert {name: came.verdict(f"python/{name}@local") for name in ENDINGS} == {
        name: expected for name, (_, expected) in ENDINGS.items()
    }
    assert came.code == 1
    assert "no such queue: blue" in came.evidence("python/raises@local")
    assert "SIGSEGV" in came.evidence("python/segfault@local")
    assert "100000000 bytes" in came.evidence("python/flood@local")
    closed = came.run.manifest.closed
    assert closed is not None
    assert (closed.planned, closed.recorded, closed.missing) == (len(ENDINGS), len(ENDINGS), 0)
    tails = [record.evidence.output_tail or "" for record in came.run.records()]
    assert max(map(len, tails)) <= 8192


def test_the_judge_decides_on_the_answer_and_its_own_error_is_not_the_components(bench: Bench) -> None:
    right = bench.case("right", "print('{\"value\": 42}')", "assert outcome.answer['value'] == 42")
    wrong = bench.case("wrong", "print('{\"value\": 41}')", "assert outcome.answer['value'] == 42, 'off by one'")
    broken = bench.case("broken", "print('{}')", "assert outcome.answer['value'] == 42")
    left = bench.case("left", "print('{}')", "import pytest\npytest.skip('nothing to see')")
    came = bench.run()
    assert came.verdict(right) == ("pass",)
    assert came.verdict(wrong) == ("fail", "component", "assertion")
    assert "off by one" in came.evidence(wrong)
    assert came.verdict(broken) == ("error", "harness", "judge-raised")
    assert came.verdict(left) == ("skip", "harness", "skipped-by-case")
    assert came.code == 1


def test_a_known_failure_is_expected_and_its_passing_is_said(bench: Bench) -> None:
    known = bench.case("known", "raise SystemExit(3)", xfail="upstream bug")
    cured = bench.case("cured", xfail="upstream bug")
    fine = bench.case("fine")
    came = bench.run()
    assert came.verdict(known) == ("xfail", "component", "known-failure")
    assert came.verdict(cured) == ("xpass", "component", "unexpected-pass")
    assert came.verdict(fine) == ("pass",)
    assert came.code == 0


def test_what_the_site_promises_and_is_not_there_fails_and_what_nobody_promised_is_skipped(bench: Bench) -> None:
    bench.promises = "promises: [swift-t]\n"
    promised = bench.case("promised", component="swift-t")
    unpromised = bench.case("unpromised", component="flux")
    fine = bench.case("fine")
    came = bench.run(PATH="/usr/bin:/bin")
    assert came.verdict(promised) == ("fail", "distribution", "promised-absent")
    assert came.verdict(unpromised) == ("skip", "distribution", "not-deployed")
    assert "no `flux` on PATH" in came.evidence(unpromised)
    assert came.verdict(fine) == ("pass",)
    assert came.code == 1


def test_a_run_of_skips_alone_is_not_green(bench: Bench) -> None:
    bench.case("unpromised", component="flux")
    came = bench.run(PATH="/usr/bin:/bin")
    assert came.code == 1
    closed = came.run.manifest.closed
    assert closed is not None
    assert closed.counts["skip"] == 1


def test_a_deployment_of_which_only_the_control_can_run_has_passed_nothing(bench: Bench) -> None:
    control = bench.case("hello", component="control", where="control", tier="smoke")
    bench.case("unpromised", component="flux")
    came = bench.run(PATH="/usr/bin:/bin")
    assert came.verdict(control) == ("pass",)
    closed = came.run.manifest.closed
    assert closed is not None
    assert (came.code, closed.counts["pass"], closed.counts["skip"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--case", "nothing/*"), "--case 'nothing/*' fits no case on this system"),
        (("--case", "python/fine", "--case", "python/fien"), "--case 'python/fien' fits no case on this system"),
        (("--case", "python/big"), "--case 'python/big' fits only cases beyond tier integration; say --tier scale"),
        (("--component", "pyhton"), "--component pyhton fits no case on this system"),
        (("--component", "python", "--tier", "smoke"), "beyond tier smoke; say --tier integration"),
    ],
)
def test_what_is_asked_for_and_not_there_is_a_usage_error_whatever_else_would_pass(
    bench: Bench, words: tuple[str, ...], told: str
) -> None:
    bench.case("hello", component="control", where="control", tier="smoke")
    bench.case("fine")
    bench.case("big", tier="scale")
    came = bench.run(*words)
    assert came.code == 2
    assert came.folder is None
    assert told in came.output


def test_a_failed_control_puts_the_blame_on_the_site(bench: Bench) -> None:
    control = bench.case("hello", "raise SystemExit(1)", component="control", where="control")
    failing = bench.case("failing", "raise SystemExit(4)")
    asserting = bench.case("asserting", "print('{}')", "assert outcome.answer")
    fine = bench.case("fine")
    came = bench.run()
    assert came.verdict(control) == ("infra", "site", "control-failed")
    assert came.verdict(failing) == ("infra", "site", "control-failed")
    assert came.verdict(asserting) == ("infra", "site", "control-failed")
    assert "exited with 4" in came.evidence(failing)
    assert came.verdict(fine) == ("pass",)
    assert came.code == 3


def test_infrastructure_failures_are_retried_as_the_site_allows_and_each_attempt_has_its_record(bench: Bench) -> None:
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
    came = bench.run()
    first, second = came.records(flaky)
    assert (first.verdict.outcome.value, first.retries.final) == ("infra", False)
    assert (second.verdict.outcome.value, second.retries.final) == ("pass", True)
    assert second.retries.supersedes == first.record_id
    assert came.code == 0
    assert came.output.count("1 passed") == 1


def test_a_component_failure_is_never_retried(bench: Bench) -> None:
    bench.retries = 2
    failing = bench.case("failing", "raise SystemExit(4)")
    assert len(bench.run().records(failing)) == 1


def test_junit_of_pytest_itself_counts_the_payloads_cases(bench: Bench) -> None:
    bench.case("good")
    bench.case("bad", "raise SystemExit(4)")
    path = bench.folder / "own.xml"
    bench.run("--junitxml", str(path))
    suite = ElementTree.parse(path).getroot()[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("2", "1", "0")


def test_the_run_folder_holds_what_was_promised_and_keeps_the_private_part_closed(bench: Bench) -> None:
    bench.case("good", "import sys; print('words', file=sys.stderr); print('{}')")
    came = bench.run()
    folder: Path = came.run.path
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
        assert json.loads(line)["evidence"]["output_tail"] == "words\n"


@pytest.mark.parametrize("option", ["--setup-only", "--setup-plan"])
def test_options_under_which_nothing_is_judged_are_refused(bench: Bench, option: str) -> None:
    bench.case("good")
    came = bench.run(option)
    assert came.code != 0
    assert "cannot be combined" in came.output


def test_without_site_the_plugin_is_inert_and_a_case_fails_loudly(bench: Bench) -> None:
    bench.case("good")
    command = [word for word in bench.command() if word not in ("--site", "test/box", "--no-upload")]
    import subprocess

    done = subprocess.run(command, env=bench.environ(), cwd=bench.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "add --site auto" in done.stdout


def test_a_payload_that_leaves_daemons_behind_is_swept_and_told_on(bench: Bench) -> None:
    source = """
        import os, subprocess
        subprocess.Popen(["sleep", "4321"], start_new_session=True)
        subprocess.Popen(["sleep", "4322"])
        print("{}", flush=True)
    """
    case_id = bench.case("litter", source)
    came = bench.run()
    assert came.only(case_id).extras["leftovers"] == ["sleep", "sleep"]
    import subprocess

    left = subprocess.run(["pgrep", "-f", "sleep 432[12]"], capture_output=True, check=False)
    assert left.returncode == 1


def test_payloads_see_the_deployment_and_none_of_the_harness_s_secrets(bench: Bench) -> None:
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
    case_id = bench.case("looks", source, body)
    came = bench.run(EXAWORKS_COLLECTOR_TOKEN="very-secret-token-1234567890")
    assert came.verdict(case_id) == ("pass",), came.evidence(case_id)
    assert b"very-secret-token" not in (came.run.path / "records.jsonl").read_bytes()


def test_a_retired_system_is_only_rehearsed(bench: Bench) -> None:
    bench.site = bench.site.replace("description", "state: retired\ndescription")
    bench.case("good")
    came = bench.run()
    assert came.code != 0
    assert came.folder is None
    assert "is retired" in came.output
    assert "exaworks rehearse" in came.output


def test_cases_go_by_kind_and_cells_by_the_schedulers_own_name(bench: Bench) -> None:
    nested = "{kind: flux, name: far, nested: true, within: near}"
    bench.promises = f"schedulers: [{{kind: lsf, name: near}}, {nested}]\n"
    case_id = bench.case("everywhere", schedulers=("*",))
    came = bench.run()
    assert came.verdict(case_id) == ("pass",)
    assert came.verdict("python/everywhere@near") == ("skip", "site", "scheduler-absent")
    assert came.verdict("python/everywhere@near+far") == ("skip", "site", "scheduler-absent")
    assert "inside near" in came.evidence("python/everywhere@near+far")
