"""Nested schedulers: named after both schedulers, started in an allocation of the outer one, recorded with both."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sdk_tests.deployments.deployment import Deployment
from sdk_tests.execution.job_scripts import AGENT, Allocation, write_job
from sdk_tests.execution.messages import InnerSetup, Setup
from sdk_tests.model.shell_level import EXPORT
from sdk_tests.plan import nesting
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.flux import FluxKind
from sdk_tests.schedulers.slurm import SlurmKind
from sdk_tests.testbeds import manage
from site_configs.load import find
from site_configs.schema import SchedulerSpec
from tests.sdk_tests.bench import Bench

KIND = """
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.flux import FluxKind

class InnerKind(FluxKind):
    kind = "inner"
    def installed(self):
        return Probe(kind=self.kind, available=True, version="7.0")
    def inner_commands(self):
        return None
    def control_argv(self, argv, job):
        return ["env", "UNDER_INNER=control", *argv]
"""
SHOW_ENVIRONMENT = """
import json, os, sys
request = json.loads(sys.argv[1])
names = ("INNER_NODES", "INNER_CORES", "INNER_GPUS", "SLURM_JOB_ID", "UNDER_INNER")
variables = {name: os.environ.get(name) for name in names}
print(json.dumps({**variables, "kind": request["scheduler"]["kind"], "where": request["where"]}))
"""
START = ["env", "INNER_NODES={nodes}", "INNER_CORES={cores}", "INNER_GPUS={gpus}"]


def deployment(**delta: str) -> Deployment:
    return Deployment(name="d", kind="venv", python="/d/bin/python", environ={}, delta=delta)


def outer(env: dict[str, str] | None = None, *, inside: bool = False) -> AvailableScheduler:
    kind = SlurmKind(SchedulerSpec(kind="slurm"), env or {"PATH": "/bin"})
    return AvailableScheduler(kind, Probe(kind="slurm", available=True, nodes=("n1", "n2")), inside=inside)


def test_frontiers_flux_is_named_slurm_plus_flux() -> None:
    system = find("ornl/frontier")
    (spec,) = [spec for spec in system.schedulers if spec.nested]
    assert nesting.label(system, spec) == "slurm+flux"


def test_frontiers_start_command_gets_the_nodes_cores_and_gpus_of_the_allocation() -> None:
    system = find("ornl/frontier")
    (spec,) = [spec for spec in system.schedulers if spec.nested]
    inner = InnerSetup(within="slurm", start=spec.start, variables={}, gpus=system.node.gpus)
    argv = Allocation(2, 56, inner).command(["agent"])
    assert " ".join(argv) == "srun -N 2 -n 2 -c 56 --gpus-per-node=8 flux start agent"


def test_a_job_that_is_not_nested_runs_its_program_unchanged(tmp_path: Path) -> None:
    allocation = Allocation(2, 56)
    assert allocation.command(["agent"]) == ["agent"]
    setup = Setup(
        folder=str(tmp_path), envs={}, changes={}, schedulers={}, local_cores=1, login_slots=1, machine_cores=1,
        python="/python", mark="run", job_token="token",
    )  # fmt: skip
    script = write_job(tmp_path, [], 1, setup, allocation, None)
    agent = f"exec /python -I {shlex.quote(str(AGENT))} {tmp_path / 'requests.json'}"
    assert script.read_text(encoding="utf-8").splitlines() == ["#!/bin/sh", EXPORT, agent]


@pytest.mark.parametrize(
    ("spec", "outer_scheduler", "reason"),
    [
        (SchedulerSpec(kind="flux", nested=True), outer(), "how flux is started in an allocation: add the key start"),
        (SchedulerSpec(kind="flux", nested=True, start=["flux", "start"]), outer(inside=True), "inside a job of slurm"),
        (SchedulerSpec(kind="flux", nested=True, start=["flux", "start"]), outer({"PATH": "/none"}), "flux-core"),
        (
            SchedulerSpec(kind="flux", nested=True, start=["flux", "start"], modules=["no-such-module-at-all"]),
            outer({"PATH": os.defpath}),
            "module:no-such-module-at-all: cannot be activated",
        ),
    ],
    ids=["no start", "inside", "no flux", "no module"],
)
def test_a_nested_scheduler_that_cannot_be_started_has_a_reason(
    spec: SchedulerSpec, outer_scheduler: AvailableScheduler, reason: str
) -> None:
    nested = nesting.nested_scheduler(FluxKind, spec, outer_scheduler, deployment())
    assert isinstance(nested, str)
    assert reason in nested


def test_without_modules_the_commands_of_the_deployment_are_used(tmp_path: Path) -> None:
    program = tmp_path / "flux"
    program.write_text("#!/bin/sh\necho flux-core 0.99.1\n")
    program.chmod(0o755)
    spec = SchedulerSpec(kind="flux", nested=True, start=["flux", "start"])
    nested = nesting.nested_scheduler(FluxKind, spec, outer(), deployment(PATH=f"{tmp_path}:/bin"))
    assert isinstance(nested, AvailableScheduler)
    assert (nested.probe.version, nested.probe.nodes) == ("0.99.1", ("n1", "n2"))
    assert nesting.added_variables(nested) == {"PATH": f"{tmp_path}:/bin"}


def test_commands_of_a_module_come_after_the_deployments_interpreter_and_before_everything_else_on_path() -> None:
    outer_scheduler = outer({"PATH": "/bin"})
    kind = FluxKind(SchedulerSpec(kind="flux"), {"PATH": "/module/bin:/bin", "FLUX_X": "1"})
    nested = AvailableScheduler(kind, Probe(kind="flux", available=True), outer=outer_scheduler)
    variables = nesting.payload_variables(nested, deployment(PATH="/d/bin:/bin", VIRTUAL_ENV="/d"))
    assert variables == {"PATH": "/d/bin:/module/bin:/bin", "FLUX_X": "1", "VIRTUAL_ENV": "/d"}


def test_without_the_outer_scheduler_the_cells_are_skipped_and_named_after_both(bench: Bench) -> None:
    bench.site_additions = (
        "schedulers:\n"
        "  - {kind: slurm, name: here}\n"
        "  - {kind: flux, nested: true, within: here, start: [flux, start]}\n"
    )
    bench.case("inner", schedulers=("flux",))
    bench.case("here")
    result = bench.run("-k", "flux or local", PATH="/usr/bin:/bin")
    assert result.verdict("python/inner@here+flux") == ("skip", "site", "scheduler-absent")
    assert "flux is started inside here" in result.evidence("python/inner@here+flux")
    assert result.verdict("python/here@local") == ("pass",)


class NestedBench(Bench):
    """A bench whose site has a Slurm with a nested scheduler."""

    env: dict[str, str]

    def use(self, testbed: Any, inner: dict[str, Any], **changes: object) -> None:
        self.env = manage.environment(testbed, {})
        spec = msgspec.to_builtins(msgspec.structs.replace(testbed.scheduler, **changes))
        entries = [spec, {"nested": True, "within": "slurm", **inner}]
        self.site_additions = "node: {cores: 4, usable_cores: 3, gpus: 2}\nschedulers: " + json.dumps(entries) + "\n"

    def environ(self) -> dict[str, str]:
        environ = super().environ()
        plugin = self.folder / "plugin"
        (plugin / "bench_inner.py").write_text(KIND)
        points = plugin / "bench-1.dist-info" / "entry_points.txt"
        points.write_text(points.read_text() + "[exaworks.schedulers]\ninner = bench_inner:InnerKind\n")
        path = os.pathsep.join((self.env.get("PATH", ""), environ["PATH"]))
        return {**environ, **self.env, "PATH": path}


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("nested")
    slurm = manage.up("slurm", home, nodes=2, cores=4, owner_pid=os.getpid())
    yield slurm
    manage.down(home, slurm.id)


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[NestedBench]:
    bench = NestedBench(tmp_path)
    yield bench
    bench.close()


@pytest.mark.slow
@pytest.mark.needs("slurm", "munge")
def test_cases_of_the_inner_kind_run_in_one_allocation_of_the_outer_scheduler(
    nested: NestedBench, testbed: Any
) -> None:
    """This includes cases that submit jobs themselves, and holds even if the site allows one job at a time."""
    nested.use(testbed, {"kind": "inner", "start": START}, max_jobs=1)
    body = "assert outcome.answer['INNER_NODES'] == str(outcome.case.nodes), outcome.answer"
    nested.case("hello", SHOW_ENVIRONMENT, body, component="control", where="control", schedulers=("inner",))
    nested.case("one", SHOW_ENVIRONMENT, body + "\nassert outcome.answer['kind'] == 'inner'", schedulers=("inner",))
    nested.case("login", SHOW_ENVIRONMENT, body, schedulers=("inner",), where="login", jobs=5)
    nested.case("two", SHOW_ENVIRONMENT, body, schedulers=("inner",), nodes=2)
    nested.case("alone", SHOW_ENVIRONMENT, body, schedulers=("inner",), where="job")
    nested.case("outer", SHOW_ENVIRONMENT, "assert outcome.answer['INNER_NODES'] is None", schedulers=("slurm",))
    result = nested.run("--scheduler", "slurm+inner", "--scheduler", "slurm")
    names = ["control/hello", "python/one", "python/login", "python/alone"]
    ids = [*(f"{name}@slurm+inner" for name in names), "python/two@slurm+inner/2n", "python/outer@slurm"]
    assert {case: result.verdict(case) for case in ids} == dict.fromkeys(ids, ("pass",)), result.output
    record = result.only("python/one@slurm+inner")
    assert record.scheduler.outer is not None
    assert record.scheduler.nested is not None
    assert (record.scheduler.outer.name, record.scheduler.outer.version) == ("slurm", testbed.version)
    assert (record.scheduler.nested.name, record.scheduler.nested.version) == ("inner", "7.0")
    assert record.context.queue == "debug"
    shared = {tuple(result.only(case).scheduler.job_ids) for case in ids[:3]}
    assert len(shared) == 1, "they did not share an allocation"
    assert tuple(result.only(ids[3]).scheduler.job_ids) not in shared
    assert result.only("python/outer@slurm").scheduler.nested is None


@pytest.mark.slow
@pytest.mark.needs("slurm", "munge")
def test_the_output_of_a_failed_start_command_is_recorded(nested: NestedBench, testbed: Any) -> None:
    nested.use(testbed, {"kind": "inner", "start": ["sh", "-c", "echo no brokers here; exit 3", "--"]})
    nested.case("one", SHOW_ENVIRONMENT, schedulers=("inner",))
    result = nested.run("--scheduler", "slurm+inner")
    assert result.verdict("python/one@slurm+inner") == ("error", "unknown", "job-ended")
    assert "no brokers here" in (result.only("python/one@slurm+inner").evidence.output_tail or "")
    assert result.code == 1


@pytest.mark.slow
@pytest.mark.needs("slurm", "munge", "flux")
def test_flux_nested_in_slurm_has_a_broker_on_each_node(nested: NestedBench, testbed: Any) -> None:
    start = ["srun", "--mpi=pmi2", "-N", "{nodes}", "-n", "{nodes}", "-c", "{cores}", "flux", "start"]
    nested.use(testbed, {"kind": "flux", "start": start, "launchers": [{"name": "flux"}]})
    source = """
    import json, os, subprocess
    size = subprocess.run(["flux", "getattr", "size"], capture_output=True, text=True, check=True).stdout
    print(json.dumps({"size": int(size), "job": os.environ.get("FLUX_JOB_ID")}))
    """
    nested.case("hello", source, "assert outcome.answer['job']", component="control", where="control",
                schedulers=("flux",))  # fmt: skip
    nested.case("two", source, "assert outcome.answer['size'] == 2", schedulers=("flux",), nodes=2)
    result = nested.run("--scheduler", "slurm+flux")
    assert result.verdict("control/hello@slurm+flux") == ("pass",), result.output
    assert result.verdict("python/two@slurm+flux/2n") == ("pass",), result.output
    scheduler = result.only("python/two@slurm+flux/2n").scheduler
    assert scheduler.nested is not None
    assert scheduler.nested.version
