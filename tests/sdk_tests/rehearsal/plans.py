"""The plan that follows from each site file: a few fixed cases, their jobs, and the checks of a rehearsal.

A plan contains nothing of this machine and none of the packaged cases, so that it changes only with the site file or
with the way the harness reads it. ``python -m tests.sdk_tests.rehearsal.plans`` writes the golden files of all systems
or of the named ones. Review the difference before you commit it.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dashboard_client.schema import Component, Selection, Tier
from exaworks_sdk.paths import Places
from sdk_tests.deployments.deployment import Deployment
from sdk_tests.execution.batch import Batch
from sdk_tests.model.case import Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell, cells, selected
from sdk_tests.plan.launch_requests import LaunchRequests
from sdk_tests.plan.options import Options
from sdk_tests.plan.preparation import Preparation
from sdk_tests.plan.probe import DeploymentContents
from sdk_tests.plan.target import Target
from sdk_tests.rehearsal.checks import jobs_over_limits, launch_argv
from sdk_tests.schedulers import CommandResult, JobSpec, Probe
from sdk_tests.schedulers.registry import kinds
from site_configs.load import systems
from site_configs.schema import SchedulerSpec, System

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "python -m tests.sdk_tests.rehearsal.plans"
NODES = 2
"""The default number of nodes of a rehearsal's testbed."""
CASES = (
    Case("control", "hello", "hello.py", tier=Tier.SMOKE, where="control", answer=False),
    Case("psij", "submits", "x.py", tier=Tier.SMOKE, where="login", jobs=1),
    Case("psij", "inside", "x.py", tier=Tier.SMOKE, cores=2),
    Case("swift-t", "absent", "x.py", tier=Tier.SMOKE),
    Case("psij", "two-nodes", "x.py", nodes=2),
    Case("psij", "own-job", "x.py", where="job", nodes=2, walltime=600.0),
    Case("psij", "longest", "x.py", where="job", walltime=30 * 86400.0),
    Case("psij", "many-jobs", "x.py", where="login", jobs=40),
    Case("psij", "too-wide", "x.py", nodes=20_000),
)
"""One case for each decision of a site file. ``swift-t`` is a component that the deployment does not contain."""
VIEW_KEYS = ("queue", "queue_name", "account", "launcher", "launcher_flags", "exclusive", "directives", "reservation")
"""The keys of the payload's view of a scheduler whose values come from the site file."""


class RecordingBatch(Batch):
    """A batch that runs no command and remembers the last one."""

    last: list[str]

    def _run(self, argv: list[str], then: Callable[[CommandResult], None]) -> None:
        self.last = argv


def plan(system: System) -> dict[str, Any]:
    """Return everything that the site file of a system decides about a run and its jobs."""
    result: dict[str, Any] = {
        "system": system.system,
        "state": system.state.value,
        "testbeds": system.testbeds,
        "limits": msgspec.to_builtins(system.limits),
        "redaction": system.redaction,
        "allowed_skips": system.allowed_skips,
        "schedulers": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        preparation = _prepared(system, Path(folder))
        for cell in cells(CASES, preparation):
            scheduler = result["schedulers"].setdefault(
                cell.scheduler, _scheduler(preparation.schedulers[cell.scheduler])
            )
            tiers = [tier.value for tier in (Tier.SMOKE, Tier.INTEGRATION) if selected(cell, Selection(tier=tier))]
            scheduler["cases"][cell.case_id] = {"tiers": tiers, **_cell(cell, preparation, Path(folder))}
    result["nested"] = {
        spec.label: {"within": spec.within, "start": spec.start, "modules": spec.modules}
        for spec in system.schedulers
        if spec.nested
    }
    return result


def _prepared(system: System, folder: Path) -> Preparation:
    """Return a preparation in which every scheduler of the site file answers and only PSI/J is deployed."""
    env = {"PATH": "/nowhere"}
    env |= {spec.account_env: f"${spec.account_env}" for spec in system.schedulers if spec.account_env}
    specs = [spec for spec in system.schedulers if not spec.nested]
    specs += [SchedulerSpec(kind="local")] if system.local.allowed else []
    nodes = tuple(str(number) for number in range(system.node.count or 1000))
    ready = {
        spec.label: AvailableScheduler(kinds()[spec.kind](spec, env), Probe(spec.kind, available=True, nodes=nodes))
        for spec in specs
    }
    contents = DeploymentContents(
        {"psij": Component(name="psij", version="1")}, {"swift-t": "no `swift-t` on PATH"}, "", "3", "", "", None, []
    )
    deployment = Deployment("path", "path", "/bin/python", {}, {}, promises=dict.fromkeys(system.promises))
    return Preparation(
        options=Options(),
        places=Places(folder, None),
        system=msgspec.structs.replace(system, work_dir=None),
        schedulers=ready,
        absent={},
        targets=[Target("", deployment, contents)],
        components={},
        environ=env,
        outer=env,
    )


def _scheduler(ready: AvailableScheduler) -> dict[str, Any]:
    kind, spec = ready.kind, ready.kind.spec
    return {
        "kind": spec.kind,
        "status interval": spec.status_interval,
        "max jobs": spec.max_jobs,
        "request on one node": {name: kind.view(1)[name] for name in VIEW_KEYS},
        "request on two nodes": {name: kind.view(2)[name] for name in VIEW_KEYS},
        "refused": {queue.name: [what for what, *_ in jobs_over_limits(queue, NODES)] for queue in spec.queues},
        "launched": [shlex.join(launch_argv(launcher, NODES)) for launcher in spec.launchers],
        "cases": {},
    }


def _cell(cell: Cell, preparation: Preparation, folder: Path) -> dict[str, Any]:
    waived = {"waiver": cell.waiver} if cell.waiver else {}
    if cell.judgement is not None:
        cause = cell.judgement.cause
        return {cell.judgement.outcome.value: f"{cause.rule}: {cause.evidence}", **waived}
    run = Path(tempfile.mkdtemp(dir=folder))
    requests = LaunchRequests(preparation, run, run, [cell.case_id])
    request, setup = requests.request(cell, 1), requests.setup()
    kind = preparation.schedulers[cell.scheduler].kind
    no_processes: Any = None  # would start the commands of the batch, but none is run
    result: dict[str, Any] = {"where": request.where, "jobs": request.jobs}
    if kind.batch and request.where == "control":
        scratch = Path(request.scratch)
        walltime = kind.walltime(request.queue, request.nodes, request.walltime)
        job = JobSpec("control", scratch, scratch, request.nodes, walltime, request.queue, request.account)
        result["command"] = _plain(kind.control_argv(["PROGRAM"], job), run)
    elif kind.batch and request.where in ("allocation", "job"):
        given = setup.schedulers[cell.scheduler]
        batch = RecordingBatch(cell.scheduler, kind, given, setup, no_processes, lambda _: None, lambda *_: None)
        batch.submit([request], shared=request.where == "allocation")
        result["command"] = _plain(batch.last, run).replace(
            f"-{setup.job_token}", ""
        )  # random, in the name of each job
    return result | waived


def _plain(argv: list[str], run: Path) -> str:
    """Return a command without parts that differ from run to run, and a submit command without the shell around it."""
    argv = argv[argv.index("-c") + 3 :] if argv[0] == "env" and "-c" in argv else argv
    bare = re.compile(f"(^|[= >]){re.escape(str(run))}[^ =>]*/")
    return shlex.join(Path(word).name if word.startswith("/") else bare.sub(r"\1", word) for word in argv)


def text(system: System) -> str:
    """Return the content of the golden file of a system."""
    return json.dumps(plan(system), indent=1, ensure_ascii=False) + "\n"


def golden_file(system: System) -> Path:
    """Return the path of the golden file of a system."""
    return GOLDEN / f"{system.system.replace('/', '-')}.json"


if __name__ == "__main__":
    for named in systems():
        if not sys.argv[1:] or named.system in sys.argv[1:]:
            golden_file(named).write_text(text(named), encoding="utf-8")
            print(golden_file(named))
