"""From planned cells to orders: folders, environments, requests and limits."""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

from sdk_tests.execution.messages import InnerSetup, LaunchRequest, SchedulerSetup, Setup
from sdk_tests.plan import nesting
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.preparation import Preparation
from sdk_tests.plan.probe import PAYLOADS
from sdk_tests.schedulers import JobSpec
from site_configs.schema import seconds


class LaunchRequests:
    """Makes the supervisor's set-up and the orders of one run.

    ``work`` holds a scratch folder an attempt; compute nodes must see it, so a site may name a shared one.
    """

    def __init__(self, preparation: Preparation, run: Path, private: Path, case_ids: list[str]) -> None:
        self.preparation = preparation
        self._name = run.name
        self._numbers = {case_id: number for number, case_id in enumerate(case_ids)}
        shared = preparation.system.work_dir
        base = private
        if shared is not None:
            base = Path(os.path.expandvars(shared)).expanduser() / "exaworks" / run.name
        self.work = base / "work"
        self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._jobs = base / "jobs" / secrets.token_hex(2)
        self._jobs.mkdir(parents=True)

    def setup(self) -> Setup:
        """Return what the supervisor is told first."""
        preparation = self.preparation
        deployment = preparation.deployment
        cores = len(os.sched_getaffinity(0))
        node = preparation.system.node
        return Setup(
            folder=str(self._jobs),
            envs={
                "deployment": dict(deployment.environ),
                "harness": preparation.environ,
                "inside": {**preparation.outer, **deployment.delta},
            },
            deltas={"deployment": dict(deployment.delta), "harness": {}}
            | {name: nesting.delta(ready, deployment) for name, ready in preparation.schedulers.items() if ready.outer},
            schedulers={
                name: SchedulerSetup(
                    spec=ready.outermost.kind.spec,
                    env=ready.outermost.kind.env,
                    payload_cores=node.usable_cores or node.cores or 2,
                    inner=self._inner(ready),
                )
                for name, ready in preparation.schedulers.items()
            },
            local_cores=preparation.system.local.bound(cores),
            login_slots=max(4, 2 * preparation.system.local.bound(cores)),
            python=sys.executable,
            mark=self._name,
        )

    def _inner(self, ready: AvailableScheduler) -> InnerSetup | None:
        if ready.outer is None:
            return None
        within = next(name for name, other in self.preparation.schedulers.items() if other is ready.outer)
        variables, gpus = nesting.added(ready), self.preparation.system.node.gpus
        return InnerSetup(within=within, start=ready.kind.spec.start, variables=variables, gpus=gpus)

    def request(self, cell: Cell, attempt: int) -> LaunchRequest:
        """Return the order for one attempt at a cell; its scratch folder exists then."""
        case, preparation = cell.case, self.preparation
        ready = preparation.schedulers[cell.scheduler]
        number = self._numbers[cell.case_id]
        slug = "".join(c if c.isalnum() or c in ".-" else "-" for c in cell.case_id)
        scratch = self.work / f"{number:03d}-{slug[:40]}-{attempt}"
        scratch.mkdir(exist_ok=True)
        waits = ready.kind.batch and not ready.inside
        nested = ready.outer is not None
        wait = float(seconds(preparation.system.limits.queue_wait)) if waits else 0.0
        limit = case.total if case.total is not None else case.walltime + (0.0 if nested else wait)
        view = {**ready.kind.view(case.nodes), "loopback": ready.testbed is not None or not ready.kind.batch}
        payload_request = {
            "params": dict(case.params),
            "scratch": str(scratch),
            "nodes": case.nodes,
            "cores": case.cores,
            "gpus": preparation.system.node.gpus,
            "where": case.where,
            "walltime": case.walltime,
            "limit": limit,
            "bin": preparation.deployment.bin,
            "scheduler": view,
        }
        payload = PAYLOADS / case.payload  # absolute where a case brings its own
        argv = [str(payload), json.dumps(payload_request)]
        if payload.suffix == ".py":  # anything else is a program in its own right
            argv.insert(0, sys.executable if cell.control else preparation.deployment.python)
        if not cell.control:
            argv = preparation.deployment.wrap(argv)
        where, env = case.where, "harness" if cell.control else "deployment"
        if ready.inside:
            where, env = "login", "inside"
        elif nested:  # it has no login side: what submits by itself does so from within
            where, env = "job" if case.where == "job" else "allocation", env if cell.control else cell.scheduler
            if cell.control:
                argv = ready.kind.control_argv(argv, JobSpec("control", Path(scratch), Path(scratch), 1, case.walltime))
        asked = ready.outermost.kind.view(case.nodes)
        return LaunchRequest(
            case_id=cell.case_id,
            attempt=attempt,
            argv=argv,
            env=env,
            scratch=str(scratch),
            scheduler=cell.scheduler,
            where=where,
            nodes=case.nodes,
            cores=case.cores,
            jobs=0 if nested else case.jobs,
            walltime=case.walltime,
            limit=limit,
            queue_wait=wait,
            answer=case.answer,
            queue=asked["queue_name"],
            account=asked["account"],
            first=cell.control,
        )
