"""GPU cases: planned only if the site file has GPUs, and judged by the GPU that each task was assigned."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sdk_tests
from sdk_tests import Case, Outcome
from sdk_tests.integration import test_gpus
from sdk_tests.plan import matrix
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import cells
from sdk_tests.plan.nesting import label
from sdk_tests.plan.target import Target
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.registry import kinds
from site_configs.load import find, load_text, systems
from site_configs.schema import SchedulerSpec, System
from tests.needs import need

PAYLOADS = Path(sdk_tests.__file__).parent / "payloads"
JUDGES = [judge for judge in vars(test_gpus).values() if hasattr(judge, "exaworks_cases")]
CASES = [case for judge in JUDGES for case in judge.exaworks_cases]
COMPONENTS = ("flux", "parsl", "psij", "radical.pilot")


def planned(system: System) -> set[str]:
    """Return the GPU cases of a system on which every scheduler answers and every component is deployed."""
    specs = [*system.schedulers, *([SchedulerSpec(kind="local")] if system.local.allowed else [])]
    ready = {
        label(system, spec) if spec.nested else spec.label: AvailableScheduler(
            kinds()[spec.kind](spec, {}), Probe(spec.kind, available=True)
        )
        for spec in specs
    }
    preparation: Any = SimpleNamespace(
        schedulers=ready,
        absent={},
        targets=[
            Target(
                "",
                SimpleNamespace(promises={}, name="venv:here", unable=lambda where, batch: None),  # type: ignore[arg-type]
                SimpleNamespace(components={name: SimpleNamespace(version="1") for name in COMPONENTS}, absent={}),  # type: ignore[arg-type]
            )
        ],
        system=system,
    )
    spread = cells(CASES, preparation)
    assert not [cell for cell in spread if cell.judgement], "some cases have a verdict before the run"
    return {cell.case_id for cell in spread}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "ornl/frontier",
            {
                *(f"{component}/gpus@slurm" for component in COMPONENTS),
                *(f"{component}/gpus@slurm+flux" for component in ("flux", "parsl")),
            },
        ),
        ("llnl/tuolumne", {"flux/gpus@flux", "parsl/gpus@flux"}),
        ("anl/polaris", {"flux/gpus@pbs", "parsl/gpus@pbs", "radical.pilot/gpus@pbs"}),
        ("nersc/perlmutter", set()),  # its site file describes the nodes without GPUs
        ("llnl/dane", set()),
        ("local/workstation", set()),
    ],
)
def test_gpu_cases_are_planned_on_systems_with_gpus_and_on_no_other(name: str, wanted: set[str]) -> None:
    assert planned(find(name)) == wanted


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.system)
def test_a_system_has_gpu_cases_if_and_only_if_its_file_names_gpus(system: System) -> None:
    assert bool(planned(system)) == bool(system.node.gpus)


def test_a_workstation_with_gpus_has_gpu_cases_on_local_and_a_login_node_has_none() -> None:
    text = "system: my/box\ndescription: Under the desk\nlocal: {allowed: true}\nnode: {gpus: 1}\n"
    assert planned(load_text(text, "here")) == {f"{name}/gpus@local" for name in ("flux", "parsl", "radical.pilot")}
    batch = "schedulers:\n  - {kind: slurm, queues: [{name: debug}], default_queue: debug}\n"
    assert not [case for case in planned(load_text(text + batch, "here")) if case.endswith("@local")]


def test_a_case_that_needs_more_gpus_than_a_node_has_is_not_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.CASES", [Case(component="parsl", name="many", payload="parsl/gpus.py", gpus=5)])
    assert planned(find("llnl/tuolumne")) == set()
    assert planned(find("ornl/frontier")) == {"parsl/many@slurm", "parsl/many@slurm+flux"}


def test_the_matrix_states_on_which_systems_gpu_cases_are_planned() -> None:
    page = matrix.matrix(matrix.rows(), matrix.schedulers())
    assert "- `gpus`: planned only where the site file states that nodes have GPUs" in page


# Their judges -------------------------------------------------------------------------------------------------------


def task(number: int, address: str | None = None, **variables: str) -> dict[str, Any]:
    shown = variables or {"CUDA_VISIBLE_DEVICES": str(number), "ROCR_VISIBLE_DEVICES": str(number)}
    addresses = None if address is None else [address]
    return {"pid": 50 + number, "node": "n1", "variables": shown, "addresses": addresses}


def answer(*tasks: dict[str, Any]) -> dict[str, Any]:
    more = {"one_more": {"exit_code": 1, "message": "job.exception type=alloc severity=0 unsatisfiable request"}}
    ended = {"state": "COMPLETED", "exit_code": 0, "states": ["DONE"] * len(tasks)}
    return {"gpus": len(tasks), "known": len(tasks), "tasks": list(tasks), **more, **ended}


GOOD = {
    "assigned by variables": answer(task(0), task(1)),
    "identified by the vendor's library": answer(task(0, "0000:01:00.0"), task(1, "0000:02:00.0")),
    "numbered from 0 for each task": answer(
        task(0, "0000:01:00.0", CUDA_VISIBLE_DEVICES="0"), task(1, "0000:02:00.0", CUDA_VISIBLE_DEVICES="0")
    ),
    "visible without a variable": answer({**task(0, "a"), "variables": {}}, {**task(1, "b"), "variables": {}}),
    "a node with one GPU": answer(task(0)),
}
BAD = {
    "two tasks on one GPU": answer(task(0), {**task(0), "pid": 51}),
    "two tasks on one GPU in spite of different variables": answer(task(0, "0000:01:00.0"), task(1, "0000:01:00.0")),
    "one task with two GPUs by variable": answer(task(0), task(1, CUDA_VISIBLE_DEVICES="0,1")),
    "one task with two GPUs by library": answer(task(0, "a"), {**task(1, "b"), "addresses": ["b", "c"]}),
    "one task without a GPU": answer(task(0), {**task(1), "variables": {}}),
    "one task is missing": {**answer(task(0), task(1)), "tasks": [task(0)]},
    "one process for two tasks": answer(task(0), {**task(1), "pid": 50}),
    "no task at all": answer(),
}
OWN: dict[str, dict[str, Any]] = {
    "flux": {"known": 0, "one_more": {"exit_code": 0, "message": ""}},
    "psij": {"state": "FAILED", "exit_code": 1},
    "radical.pilot": {"states": ["DONE", "FAILED"]},
}


def judged(judge: Callable[[Outcome], None], given: dict[str, Any]) -> None:
    case: Case = judge.exaworks_cases[0]  # type: ignore[attr-defined]
    judge(Outcome(case, case.case_id("slurm"), "slurm", copy.deepcopy(given), 0, params={}))


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("given", GOOD.values(), ids=list(GOOD))
def test_a_judge_accepts_tasks_that_each_have_a_gpu(judge: Callable[[Outcome], None], given: dict[str, Any]) -> None:
    judged(judge, given)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("given", BAD.values(), ids=list(BAD))
def test_a_judge_refuses_tasks_without_a_gpu_of_their_own(
    judge: Callable[[Outcome], None], given: dict[str, Any]
) -> None:
    with pytest.raises(AssertionError):
        judged(judge, given)


@pytest.mark.parametrize("judge", JUDGES)
def test_a_judge_refuses_the_failures_of_its_own_component(judge: Callable[[Outcome], None]) -> None:
    component = judge.exaworks_cases[0].component  # type: ignore[attr-defined]
    for name, value in OWN.get(component, {}).items():
        with pytest.raises(AssertionError):
            judged(judge, {**GOOD["assigned by variables"], name: value})


# Their payloads -----------------------------------------------------------------------------------------------------


@pytest.mark.needs("components")
def test_parsl_assigns_different_gpus_to_its_workers_even_without_a_gpu(tmp_path: Path) -> None:
    python = Path(need("components"), "bin", "python")
    given = json.dumps({"scratch": str(tmp_path), "params": {"gpus": 2}, "bin": str(python.parent)})
    environ = {name: value for name, value in os.environ.items() if not name.endswith("VISIBLE_DEVICES")}
    argv = [str(python), str(PAYLOADS / "parsl" / "gpus.py"), given]
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    reported = json.loads(done.stdout)
    assert [each["variables"]["CUDA_VISIBLE_DEVICES"] for each in reported["tasks"]] in (["0", "1"], ["1", "0"])
    assert len({each["pid"] for each in reported["tasks"]}) == 2
