"""The packaged hello cases with short time limits, for breakages in which something waits until the limit."""

from __future__ import annotations

from sdk_tests import EVERY, Outcome, case
from sdk_tests.integration.test_psij import job_ended


@case(payload="psij/hello.py", component="psij", name="short", where="login", jobs=1, schedulers=EVERY, walltime=20)
def test_a_job_runs(outcome: Outcome) -> None:
    assert job_ended(outcome, "COMPLETED", 0)["greeting"] == "Hello World!"


@case(
    payload="psij/launcher.py",
    component="psij",
    name="short_launcher",
    schedulers=EVERY,
    walltime=20,
    params={"launcher": "multiple", "processes": 2},
)
def test_processes_start(outcome: Outcome) -> None:
    assert len(outcome.answer["processes"]) == 2


@case(
    payload="parsl/python_app.py",
    component="parsl",
    name="short",
    schedulers=EVERY,
    walltime=30,
    params={"base": 7, "exponent": 40},
)
def test_a_python_app_returns_a_value(outcome: Outcome) -> None:
    assert outcome.answer["value"] == outcome.params["base"] ** outcome.params["exponent"]


@case(payload="hungry.py", component="psij", name="short_hungry", schedulers=EVERY, walltime=60, answer=False)
def test_a_program_gets_a_gigabyte(outcome: Outcome) -> None:
    assert outcome.exit_code == 0
