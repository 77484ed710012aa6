"""What follows from each site file: the plan of a few fixed cases, their jobs, and what a rehearsal tries beside it.

Nothing of this machine is in it, and none of the packaged cases, so that only a change of a site file or of how the
harness reads one shows. ``python -m tests.sdk_tests.rehearsal.plans`` writes the golden files anew, of all systems or
of those that are named; look at the difference before committing it.
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
from sdk_tests.rehearsal.checks import launch, over
from sdk_tests.schedulers import Finished, JobSpec, Probe
from sdk_tests.schedulers.registry import kinds
from site_configs.load import systems
from site_configs.schema import SchedulerSpec, System

GOLDEN = Path(__file__).parent / "golden"
RENEW = "python -m tests.sdk_tests.rehearsal.plans"
NODES = 2
"""Nodes of a rehearsal's testbed, unless somebody says otherwise."""
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
"""One for each thing that a site file decides; ``swift-t`` is what this deployment does not have."""
TOLD = ("queue", "queue_name", "account", "launcher", "launcher_flags", "exclusive", "directives", "reservation")
"""Of what payloads are told, what the site file says; the rest is the harness's own."""


class Recorded(Batch):
    """Runs no command and remembers the last."""

    last: list[str]

    def _command(self, argv: list[str], then: Callable[[Finished], None]) -> None:
        self.last = argv


def plan(system: System) -> dict[str, Any]:
    """Return everything that the system's file decides about a run and its jobs."""
    told: dict[str, Any] = {
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
            scheduler = told["schedulers"].setdefault(
                cell.scheduler, _scheduler(preparation.schedulers[cell.scheduler])
            )
            tiers = [tier.value for tier in (Tier.SMOKE, Tier.INTEGRATION) if selected(cell, Selection(tier=tier))]
            scheduler["cases"][cell.case_id] = {"tiers": tiers, **_cell(cell, preparation, Path(folder))}
    told["nested"] = {
        spec.label: {"within": spec.within, "start": spec.start, "modules": spec.modules}
        for spec in system.schedulers
        if spec.nested
    }
    return told


def _prepared(system: System, folder: Path) -> Preparation:
    """Return what preparing finds where every scheduler of the file answers and PSI/J alone is deployed."""
    env = {"PATH": "/nowhere"}
    env |= {spec.account_env: f"${spec.account_env}" for spec in system.schedulers if spec.account_env}
    specs = [spec for spec in system.schedulers if not spec.nested]
    specs += [SchedulerSpec(kind="local")] if system.local.allowed else []
    nodes = tuple(str(number) for number in range(system.node.count or 1000))
    ready = {
        spec.label: AvailableScheduler(kinds()[spec.kind](spec, env), Probe(spec.kind, found=True, nodes=nodes))
        for spec in specs
    }
    found = DeploymentContents(
        {"psij": Component(name="psij", version="1")}, {"swift-t": "no `swift-t` on PATH"}, "", "3", "", "", None, []
    )
    deployment = Deployment("path", "path", "/bin/python", {}, {}, promises=dict.fromkeys(system.promises))
    return Preparation(
        options=Options(),
        places=Places(folder, None),
        system=msgspec.structs.replace(system, work_dir=None),
        release=None,
        schedulers=ready,
        absent={},
        deployment=deployment,
        contents=found,
        components={},
        environ=env,
        outer=env,
    )


def _scheduler(ready: AvailableScheduler) -> dict[str, Any]:
    kind, spec = ready.kind, ready.kind.spec
    return {
        "kind": spec.kind,
        "asked every": spec.status_interval,
        "jobs at once": spec.max_jobs,
        "payloads on one node": {name: kind.view(1)[name] for name in TOLD},
        "payloads on two nodes": {name: kind.view(2)[name] for name in TOLD},
        "refused": {queue.name: [what for what, *_ in over(queue, NODES)] for queue in spec.queues},
        "launched": [shlex.join(launch(launcher, NODES)) for launcher in spec.launchers],
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
    nobody: Any = None  # starts the commands of a batch, of which none is run
    told: dict[str, Any] = {"where": request.where, "jobs": request.jobs}
    if kind.batch and request.where == "control":
        place = Path(request.scratch)
        walltime = kind.walltime(request.queue, request.nodes, request.walltime)
        job = JobSpec("control", place, place, request.nodes, walltime, request.queue, request.account)
        told["command"] = _plain(kind.control_argv(["PROGRAM"], job), run)
    elif kind.batch and request.where in ("allocation", "job"):
        given = setup.schedulers[cell.scheduler]
        batch = Recorded(cell.scheduler, kind, given, setup, procs=nobody, echo=lambda _: None)
        batch.submit([request], shared=request.where == "allocation")
        told["command"] = _plain(batch.last, run)
    return told | waived


def _plain(argv: list[str], run: Path) -> str:
    """Return a command without what differs from run to run, and a submit command without the shell around it."""
    argv = argv[argv.index("-c") + 3 :] if argv[0] == "env" and "-c" in argv else argv
    bare = re.compile(f"(^|=){re.escape(str(run))}[^ =]*/")
    return shlex.join(Path(word).name if word.startswith("/") else bare.sub(r"\1", word) for word in argv)


def text(system: System) -> str:
    """Return a golden file's content."""
    return json.dumps(plan(system), indent=1, ensure_ascii=False) + "\n"


def place(system: System) -> Path:
    """Return where a system's golden file is."""
    return GOLDEN / f"{system.system.replace('/', '-')}.json"


if __name__ == "__main__":
    for one in systems():
        if not sys.argv[1:] or one.system in sys.argv[1:]:
            place(one).write_text(text(one), encoding="utf-8")
            print(place(one))
