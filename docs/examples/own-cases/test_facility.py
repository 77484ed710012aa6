"""The facility's own cases. A test function judges the answer of a payload; it must not import a component."""

from __future__ import annotations

from sdk_tests import EVERY, Outcome, case


@case(
    payload="payloads/imports.py",
    component="parsl",
    schedulers=EVERY,
    tier="smoke",
    params={"modules": ["parsl", "psutil"]},
)
def test_the_modules_of_our_users_can_be_imported_on_a_compute_node(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["errors"] == {}
    assert set(answer["versions"]) == set(outcome.params["modules"])


@case(
    payload="payloads/shared_folder.py",
    component="psij",
    schedulers=("local", "slurm", "pbs"),
    where="login",
    jobs=1,
    walltime=120,
    params={"text": "written by a job"},
)
def test_a_job_of_psij_writes_a_file_that_the_login_node_can_read(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["state"] == "COMPLETED"
    assert answer["text"] == outcome.params["text"]
