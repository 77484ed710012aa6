"""The preflight: a component that does not start is one finding, and its cases are not launched but fail with it."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from dashboard_client.schema import CauseClass, Outcome, Phase
from sdk_tests.deployments import Deployment
from sdk_tests.judging.blocked import blocked
from sdk_tests.plan.preflight import Preflight, PreflightFailure, PreflightResult
from tests.sdk_tests.bench import Bench, RunResult

LAUNCHED = """
    import pathlib
    pathlib.Path(MARK).touch()
    print("{}")
"""


class StartingBench(Bench):
    """A bench whose component ``python`` has a preflight."""

    starts = "pass"

    def environ(self) -> dict[str, str]:
        environ = super().environ()
        program = self.folder / "starts.py"
        program.write_text(textwrap.dedent(self.starts), encoding="utf-8")
        component = self.folder / "plugin" / "bench_component.py"
        text = component.read_text().replace("command='python3'", f"command='python3', preflight={str(program)!r}")
        component.write_text(text)
        return environ

    def broken(self, starts: str) -> RunResult:
        self.starts = starts
        source = LAUNCHED.replace("MARK", repr(str(self.folder / "launched")))
        self.case("one", source)
        self.case("two", source)
        return self.run()

    @property
    def launched(self) -> bool:
        return (self.folder / "launched").exists()


@pytest.fixture
def starting(tmp_path: Path) -> Any:
    bench = StartingBench(tmp_path)
    yield bench
    bench.close()


def test_a_component_that_does_not_start_fails_its_cases_with_one_cause_and_launches_none(
    starting: StartingBench,
) -> None:
    result = starting.broken("import zmqq")
    records = [result.only(f"python/{name}@local") for name in ("one", "two")]
    for record in records:
        cause = record.verdict.cause
        assert cause is not None
        assert (record.verdict.outcome.value, cause.cls.value, cause.phase) == ("fail", "distribution", Phase.PROBE)
        assert "python does not start in the deployment" in cause.evidence
        assert "No module named 'zmqq'" in cause.evidence
    first, second = (record.diagnosis for record in records)
    assert first == second
    assert first.blocked_by == first.cause_key  # type: ignore[union-attr]
    assert first.advice  # type: ignore[union-attr]
    assert not starting.launched
    assert result.code == 1


def test_a_component_that_starts_runs_its_cases_whatever_it_prints(starting: StartingBench) -> None:
    result = starting.broken("import sys; print('{}'); print('Traceback: Error', file=sys.stderr)")
    assert result.verdict("python/one@local") == ("pass",), result.output
    assert starting.launched


def test_a_preflight_that_fails_because_of_the_machine_is_no_failure_of_the_distribution(
    starting: StartingBench,
) -> None:
    result = starting.broken("raise OSError(28, 'No space left on device', '/soft/x')")
    assert result.verdict("python/one@local") == ("infra", "site", "disk-full"), result.output
    assert not starting.launched


@pytest.mark.parametrize(
    ("failure", "outcome", "cls", "evidence"),
    [
        (PreflightFailure("psij", "", signal=11), Outcome.FAIL, CauseClass.DISTRIBUTION, "killed by SIGSEGV"),
        (PreflightFailure("psij", "", signal=4), Outcome.FAIL, CauseClass.DISTRIBUTION, "killed by SIGILL"),
        (PreflightFailure("psij", "", 3), Outcome.FAIL, CauseClass.DISTRIBUTION, "exit 3"),
        (
            PreflightFailure("psij", '  File "/x/job.py", line 3\n\nthe preflight did not end within 120 s'),
            Outcome.FAIL,
            CauseClass.UNKNOWN,
            "did not end within",
        ),
        (
            PreflightFailure("parsl", "TypeError: '<' not supported between instances of 'str' and 'int'", 1),
            Outcome.FAIL,
            CauseClass.DISTRIBUTION,
            "not supported between",
        ),
        (
            PreflightFailure("", "TMPDIR (/scratch): OSError: [Errno 28] No space left on device"),
            Outcome.INFRA,
            CauseClass.SITE,
            "No space left",
        ),
        (PreflightFailure("", "something nobody knows"), Outcome.INFRA, CauseClass.SITE, "something nobody knows"),
    ],
)
def test_a_preflight_has_the_verdict_of_its_cause(
    failure: PreflightFailure, outcome: Outcome, cls: CauseClass, evidence: str
) -> None:
    judgement = blocked(failure)
    assert (judgement.outcome, judgement.cause.cls, judgement.cause.phase) == (outcome, cls, Phase.PROBE)
    assert evidence in judgement.cause.evidence
    assert judgement.diagnosis is not None
    assert judgement.diagnosis.advice
    assert judgement.diagnosis.blocked_by == judgement.diagnosis.cause_key


def test_a_condition_of_the_node_blocks_before_the_components_do() -> None:
    node, parsl = PreflightFailure("", "full"), PreflightFailure("parsl", "broken")
    assert PreflightResult({"": node, "parsl": parsl}).blocking(("parsl",)) is node
    assert PreflightResult({"parsl": parsl}).blocking(("psij", "parsl")) is parsl
    assert PreflightResult({"parsl": parsl}).blocking(("psij",)) is None


def test_a_program_of_the_preflight_that_cannot_be_started_is_its_finding(tmp_path: Path) -> None:
    program = tmp_path / "mpirun"
    program.write_bytes(b"\x7fELF\2\1\1")
    program.chmod(0o755)
    deployment = Deployment(name="here", kind="path", python=sys.executable, environ=dict(os.environ), delta={})
    preflight = Preflight(deployment, {"mpirun": [str(program), "-n", "1", "true"]})
    result = preflight.result()
    assert result is not None
    failure = result.blocking(["mpirun"])
    assert failure is not None
    assert "Exec format error" in failure.text
    assert blocked(failure).cause.evidence.startswith("mpirun does not start in the deployment: Exec format error")


WAITS_FOR_THE_CONTROL = """
    import pathlib, sys, time
    deadline = time.monotonic() + 60
    while not any("control/hello@local" in path.read_text() for path in pathlib.Path(RUNS).glob("*/records.jsonl")):
        if time.monotonic() > deadline:
            sys.exit("the control case has no record yet")
        time.sleep(0.1)
"""


def test_the_control_case_has_its_verdict_while_components_still_start(starting: StartingBench) -> None:
    starting.starts = WAITS_FOR_THE_CONTROL.replace("RUNS", repr(str(starting.home / "runs")))
    starting.case("hello", component="control", where="control")
    starting.case("one")
    result = starting.run()
    assert result.verdict("python/one@local") == ("pass",), result.output
    assert [record.case_id for record in result.run.records()] == ["control/hello@local", "python/one@local"]


def test_a_signal_ends_the_wait_for_a_component_that_does_not_start(starting: StartingBench) -> None:
    started = starting.folder / "started"
    starting.starts = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(600)"
    starting.case("one")
    process = starting.start()
    deadline = time.monotonic() + 120
    while not (started.exists() and list((starting.home / "runs").glob("*/private/supervisor.log"))):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1.0)  # the loop waits for the preflight now
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=100)  # the preflight itself would have 120 s
    assert process.returncode == 130, output
