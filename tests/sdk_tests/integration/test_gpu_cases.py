"""GPU cases: planned where the site file has GPUs and nowhere else, and judged by which GPU each task was led to."""

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
from sdk_tests.integration import test_gpus
from sdk_tests.model.attempt import Outcome
from sdk_tests.model.case import Case
from sdk_tests.plan import matrix
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import cells
from sdk_tests.plan.nesting import label
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
    """The GPU cases of a system on which every scheduler answers and every component is deployed."""
    specs = [*system.schedulers, *([SchedulerSpec(kind="local")] if system.local.allowed else [])]
    ready = {
        label(system, spec) if spec.nested else spec.label: AvailableScheduler(
            kinds()[spec.kind](spec, {}), Probe(spec.kind, found=True)
        )
        for spec in specs
    }
    preparation: Any = SimpleNamespace(
        schedulers=ready,
        absent={},
        found=SimpleNamespace(components={name: SimpleNamespace(version="1") for name in COMPONENTS}, absent={}),
        deployment=SimpleNamespace(promises={}, name="venv:here", unable=lambda where, batch: None),
        release=None,
        system=system,
    )
    spread = cells(CASES, preparation)
    assert not [cell for cell in spread if cell.judgement], "decided without a run"
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
        ("nersc/perlmutter", set()),  # its site file is for the nodes without
        ("llnl/dane", set()),
        ("local/workstation", set()),
    ],
)
def test_gpu_cases_are_planned_on_systems_with_gpus_and_on_no_other(name: str, wanted: set[str]) -> None:
    assert planned(find(name)) == wanted


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.system)
def test_a_system_has_gpu_cases_exactly_where_its_file_names_gpus(system: System) -> None:
    assert bool(planned(system)) == bool(system.node.gpus)


def test_a_machine_of_ones_own_with_gpus_has_them_right_here_and_a_login_node_does_not() -> None:
    text = "system: my/box\ndescription: Under the desk\nlocal: {allowed: true}\nnode: {gpus: 1}\n"
    assert planned(load_text(text, "here")) == {f"{name}/gpus@local" for name in ("flux", "parsl", "radical.pilot")}
    batch = "schedulers:\n  - {kind: slurm, queues: [{name: debug}], default_queue: debug}\n"
    assert not [case for case in planned(load_text(text + batch, "here")) if case.endswith("@local")]


def test_a_node_with_fewer_gpus_than_a_case_needs_has_no_such_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.CASES", [Case(component="parsl", name="many", payload="parsl/gpus.py", gpus=5)])
    assert planned(find("llnl/tuolumne")) == set()
    assert planned(find("ornl/frontier")) == {"parsl/many@slurm", "parsl/many@slurm+flux"}


def test_the_matrix_says_on_which_systems_they_are_planned() -> None:
    page = matrix.matrix(matrix.rows(), matrix.schedulers())
    assert "- `gpus`: planned where the site file gives nodes GPUs" in page


# Their judges -------------------------------------------------------------------------------------------------------


def task(number: int, address: str | None = None, **variables: str) -> dict[str, Any]:
    shown = variables or {"CUDA_VISIBLE_DEVICES": str(number), "ROCR_VISIBLE_DEVICES": str(number)}
    addresses = None if address is None else [address]
    return {"pid": 50 + number, "node": "n1", "variables": shown, "addresses": addresses}


def answer(*tasks: dict[str, Any]) -> dict[str, Any]:
    more = {"one_more": {"exit_code": 1, "said": "job.exception type=alloc severity=0 unsatisfiable request"}}
    ended = {"state": "COMPLETED", "exit_code": 0, "states": ["DONE"] * len(tasks)}
    return {"gpus": len(tasks), "known": len(tasks), "tasks": list(tasks), **more, **ended}


GOOD = {
    "led by variables": answer(task(0), task(1)),
    "told by the maker's library": answer(task(0, "0000:01:00.0"), task(1, "0000:02:00.0")),
    "numbered anew for each task": answer(
        task(0, "0000:01:00.0", CUDA_VISIBLE_DEVICES="0"), task(1, "0000:02:00.0", CUDA_VISIBLE_DEVICES="0")
    ),
    "shown without a variable": answer({**task(0, "a"), "variables": {}}, {**task(1, "b"), "variables": {}}),
    "a node with one": answer(task(0)),
}
BAD = {
    "two led to the same": answer(task(0), {**task(0), "pid": 51}),
    "two that share one, whatever the variables say": answer(task(0, "0000:01:00.0"), task(1, "0000:01:00.0")),
    "one led to two": answer(task(0), task(1, CUDA_VISIBLE_DEVICES="0,1")),
    "one that sees two": answer(task(0, "a"), {**task(1, "b"), "addresses": ["b", "c"]}),
    "one led to none": answer(task(0), {**task(1), "variables": {}}),
    "a task too few": {**answer(task(0), task(1)), "tasks": [task(0)]},
    "one process for two tasks": answer(task(0), {**task(1), "pid": 50}),
    "no task at all": answer(),
}
OWN: dict[str, dict[str, Any]] = {
    "flux": {"known": 0, "one_more": {"exit_code": 0, "said": ""}},
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
def test_a_judge_refuses_tasks_that_do_not(judge: Callable[[Outcome], None], given: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        judged(judge, given)


@pytest.mark.parametrize("judge", JUDGES)
def test_a_judge_refuses_what_its_component_alone_can_get_wrong(judge: Callable[[Outcome], None]) -> None:
    component = judge.exaworks_cases[0].component  # type: ignore[attr-defined]
    for name, value in OWN.get(component, {}).items():
        with pytest.raises(AssertionError):
            judged(judge, {**GOOD["led by variables"], name: value})


# Their payloads -----------------------------------------------------------------------------------------------------


@pytest.mark.needs("components")
def test_parsl_leads_its_workers_apart_also_where_no_gpu_is_to_be_seen(tmp_path: Path) -> None:
    python = Path(need("components"), "bin", "python")
    given = json.dumps({"scratch": str(tmp_path), "params": {"gpus": 2}, "bin": str(python.parent)})
    environ = {name: value for name, value in os.environ.items() if not name.endswith("VISIBLE_DEVICES")}
    argv = [str(python), str(PAYLOADS / "parsl" / "gpus.py"), given]
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [each["variables"]["CUDA_VISIBLE_DEVICES"] for each in told["tasks"]] in (["0", "1"], ["1", "0"])
    assert len({each["pid"] for each in told["tasks"]}) == 2
