"""Nested schedulers: named after both, started in an allocation of the outer one, and recorded as both."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sdk_tests.deployments.deployment import Deployment
from sdk_tests.execution.job_scripts import Place
from sdk_tests.execution.messages import InnerSetup
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
        return Probe(kind=self.kind, found=True, version="7.0")
    def control_argv(self, argv, job):
        return ["env", "UNDER_INNER=control", *argv]
"""
TOLD = """
import json, os, sys
request = json.loads(sys.argv[1])
names = ("INNER_NODES", "INNER_CORES", "INNER_GPUS", "SLURM_JOB_ID", "UNDER_INNER")
told = {name: os.environ.get(name) for name in names}
print(json.dumps({**told, "kind": request["scheduler"]["kind"], "where": request["where"]}))
"""
START = ["env", "INNER_NODES={nodes}", "INNER_CORES={cores}", "INNER_GPUS={gpus}"]


def deployment(**delta: str) -> Deployment:
    return Deployment(name="d", kind="venv", python="/d/bin/python", environ={}, delta=delta)


def outer(env: dict[str, str] | None = None, *, inside: bool = False) -> AvailableScheduler:
    kind = SlurmKind(SchedulerSpec(kind="slurm"), env or {"PATH": "/bin"})
    return AvailableScheduler(kind, Probe(kind="slurm", found=True, nodes=("n1", "n2")), inside=inside)


def test_frontiers_flux_is_named_after_slurm_too() -> None:
    system = find("ornl/frontier")
    (spec,) = [spec for spec in system.schedulers if spec.nested]
    assert nesting.label(system, spec) == "slurm+flux"


def test_frontiers_start_command_gets_the_nodes_cores_and_gpus_of_the_allocation() -> None:
    system = find("ornl/frontier")
    (spec,) = [spec for spec in system.schedulers if spec.nested]
    inner = InnerSetup(within="slurm", start=spec.start, variables={}, gpus=system.node.gpus)
    argv = Place(2, 56, inner).around(["agent"])
    assert " ".join(argv) == "srun -N 2 -n 2 -c 56 --gpus-per-node=8 flux start agent"


def test_a_job_that_is_not_nested_runs_its_program_as_it_is() -> None:
    place = Place(2, 56)
    assert place.around(["agent"]) == ["agent"]
    assert place.opening() == ["#!/bin/sh"]


@pytest.mark.parametrize(
    ("spec", "ready", "said"),
    [
        (SchedulerSpec(kind="flux", nested=True), outer(), "how flux is started"),
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
def test_what_cannot_be_started_says_why(spec: SchedulerSpec, ready: AvailableScheduler, said: str) -> None:
    made = nesting.ready(FluxKind, spec, ready, deployment())
    assert isinstance(made, str)
    assert said in made


def test_a_deployments_own_commands_are_those_that_are_nested(tmp_path: Path) -> None:
    program = tmp_path / "flux"
    program.write_text("#!/bin/sh\necho flux-core 0.99.1\n")
    program.chmod(0o755)
    spec = SchedulerSpec(kind="flux", nested=True, start=["flux", "start"])
    made = nesting.ready(FluxKind, spec, outer(), deployment(PATH=f"{tmp_path}:/bin"))
    assert isinstance(made, AvailableScheduler)
    assert (made.probe.version, made.probe.nodes) == ("0.99.1", ("n1", "n2"))
    assert nesting.added(made) == {"PATH": f"{tmp_path}:/bin"}


def test_a_module_puts_its_commands_behind_the_deployments_interpreter_and_before_the_rest() -> None:
    around = outer({"PATH": "/bin"})
    kind = FluxKind(SchedulerSpec(kind="flux"), {"PATH": "/module/bin:/bin", "FLUX_X": "1"})
    made = AvailableScheduler(kind, Probe(kind="flux", found=True), outer=around)
    delta = nesting.delta(made, deployment(PATH="/d/bin:/bin", VIRTUAL_ENV="/d"))
    assert delta == {"PATH": "/d/bin:/module/bin:/bin", "FLUX_X": "1", "VIRTUAL_ENV": "/d"}


def test_without_the_outer_scheduler_the_cells_are_skips_named_after_both(bench: Bench) -> None:
    bench.promises = (
        "schedulers:\n"
        "  - {kind: slurm, name: here}\n"
        "  - {kind: flux, nested: true, within: here, start: [flux, start]}\n"
    )
    bench.case("inner", schedulers=("flux",))
    bench.case("here")
    came = bench.run("-k", "flux or local", PATH="/usr/bin:/bin")
    assert came.verdict("python/inner@here+flux") == ("skip", "site", "scheduler-absent")
    assert "flux is started inside here" in came.evidence("python/inner@here+flux")
    assert came.verdict("python/here@local") == ("pass",)


class NestedBench(Bench):
    """A bench whose site has a Slurm with something nested in it."""

    env: dict[str, str]

    def use(self, testbed: Any, inner: dict[str, Any], **changes: object) -> None:
        self.env = manage.environment(testbed, {})
        spec = msgspec.to_builtins(msgspec.structs.replace(testbed.scheduler, **changes))
        entries = [spec, {"nested": True, "within": "slurm", **inner}]
        self.promises = "node: {cores: 4, usable_cores: 3, gpus: 2}\nschedulers: " + json.dumps(entries) + "\n"

    def environ(self) -> dict[str, str]:
        made = super().environ()
        plug = self.folder / "plug"
        (plug / "bench_inner.py").write_text(KIND)
        points = plug / "bench-1.dist-info" / "entry_points.txt"
        points.write_text(points.read_text() + "[exaworks.schedulers]\ninner = bench_inner:InnerKind\n")
        path = os.pathsep.join((self.env.get("PATH", ""), made["PATH"]))
        return {**made, **self.env, "PATH": path}


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("nested")
    made = manage.up("slurm", home, nodes=2, cores=4, owner_pid=os.getpid())
    yield made
    manage.down(home, made.id)


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[NestedBench]:
    made = NestedBench(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.needs("slurm", "munge")
def test_cases_of_the_inner_kind_run_in_one_allocation_of_the_outer_scheduler(
    nested: NestedBench, testbed: Any
) -> None:
    """Also those that submit by themselves, and where the site allows one job at a time."""
    nested.use(testbed, {"kind": "inner", "start": START}, max_jobs=1)
    body = "assert outcome.answer['INNER_NODES'] == str(outcome.case.nodes), outcome.answer"
    nested.case("hello", TOLD, body, component="control", where="control", schedulers=("inner",))
    nested.case("one", TOLD, body + "\nassert outcome.answer['kind'] == 'inner'", schedulers=("inner",))
    nested.case("login", TOLD, body, schedulers=("inner",), where="login", jobs=5)
    nested.case("two", TOLD, body, schedulers=("inner",), nodes=2)
    nested.case("alone", TOLD, body, schedulers=("inner",), where="job")
    nested.case("outer", TOLD, "assert outcome.answer['INNER_NODES'] is None", schedulers=("slurm",))
    came = nested.run("--scheduler", "slurm+inner", "--scheduler", "slurm")
    names = ["control/hello", "python/one", "python/login", "python/alone"]
    ids = [*(f"{name}@slurm+inner" for name in names), "python/two@slurm+inner/2n", "python/outer@slurm"]
    assert {case: came.verdict(case) for case in ids} == dict.fromkeys(ids, ("pass",)), came.output
    record = came.only("python/one@slurm+inner")
    assert record.scheduler.outer is not None
    assert record.scheduler.nested is not None
    assert (record.scheduler.outer.name, record.scheduler.outer.version) == ("slurm", testbed.version)
    assert (record.scheduler.nested.name, record.scheduler.nested.version) == ("inner", "7.0")
    assert record.context.queue == "debug"
    shared = {tuple(came.only(case).scheduler.job_ids) for case in ids[:3]}
    assert len(shared) == 1, "they did not share an allocation"
    assert tuple(came.only(ids[3]).scheduler.job_ids) not in shared
    assert came.only("python/outer@slurm").scheduler.nested is None


@pytest.mark.slow
@pytest.mark.needs("slurm", "munge")
def test_a_start_command_that_fails_is_told_with_its_own_words(nested: NestedBench, testbed: Any) -> None:
    nested.use(testbed, {"kind": "inner", "start": ["sh", "-c", "echo no brokers here; exit 3", "--"]})
    nested.case("one", TOLD, schedulers=("inner",))
    came = nested.run("--scheduler", "slurm+inner")
    assert came.verdict("python/one@slurm+inner") == ("error", "unknown", "job-ended")
    assert "no brokers here" in (came.only("python/one@slurm+inner").evidence.output_tail or "")
    assert came.code == 1


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
    came = nested.run("--scheduler", "slurm+flux")
    assert came.verdict("control/hello@slurm+flux") == ("pass",), came.output
    assert came.verdict("python/two@slurm+flux/2n") == ("pass",), came.output
    found = came.only("python/two@slurm+flux/2n").scheduler
    assert found.nested is not None
    assert found.nested.version
