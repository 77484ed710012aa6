"""From planned cells to launch requests: folders, environments, payload requests and limits."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from sdk_tests.execution.agent import payload_environment
from sdk_tests.execution.messages import (
    EnvironmentChange,
    FixtureLaunch,
    InnerSetup,
    LaunchRequest,
    SchedulerSetup,
    Setup,
)
from sdk_tests.plan import nesting
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.expected import earlier_seconds
from sdk_tests.plan.preflight import argv_of, argv_of_conditions
from sdk_tests.plan.preparation import Preparation
from sdk_tests.plan.probe import PAYLOADS
from sdk_tests.plan.target import owner
from sdk_tests.schedulers import JobSpec
from site_configs.schema import seconds

PLAIN = re.compile(r"[\w./+-]*", re.ASCII)
"""A path that every component can handle."""


class LaunchRequests:
    """Makes the supervisor's set-up and the launch requests of one run.

    work: the folder that contains the scratch folder of each attempt. Compute nodes must be able to access it, so a
    site file may name a shared folder. If all work is done on this machine and the run's path has characters that some
    components cannot handle in a path (spaces, quotes, percent signs), it is in the folder for temporary files, and
    ``close`` moves it into the run.
    """

    def __init__(self, preparation: Preparation, run: Path, private: Path, case_ids: list[str]) -> None:
        self.preparation = preparation
        self._name = run.name
        system = preparation.system
        self._earlier = earlier_seconds(preparation.places.runs, f"{system.site}/{system.name}")
        self._numbers = {case_id: number for number, case_id in enumerate(case_ids)}
        shared = preparation.system.work_dir
        base = private
        if shared is not None:
            base = Path(os.path.expandvars(shared)).expanduser() / "exaworks" / run.name
        self.work = base / "work"
        self._kept_work: Path | None = None
        here = all(s.outermost.testbed or not s.kind.batch for s in preparation.schedulers.values())
        if shared is None and here and not PLAIN.fullmatch(str(self.work)):
            self._kept_work, name = self.work, f"exaworks-{os.getuid()}"
            self.work = Path(tempfile.gettempdir()) / name / run.name / "work"
        self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.run_token = base64.b32encode(hashlib.sha256(run.name.encode()).digest()).decode()[:6].lower()
        """Ends the names of all batch jobs of all sessions of this run, so that they can be found by name."""
        jobs = base / "jobs"
        jobs.mkdir(exist_ok=True)
        self.session = len(list(jobs.iterdir()))
        """How many sessions this run had before this one; more than 0 in a resumed run."""
        self.job_token = f"{self.session % 256:02x}{self.run_token}"
        """Ends the names of all batch jobs that this session submits."""
        self._jobs = jobs / f"{self.session:02x}"
        self._jobs.mkdir()

    def close(self) -> None:
        """Move the scratch folders into the run, if they are elsewhere; nothing runs in them any more."""
        if self._kept_work is not None and self.work.exists():
            shutil.copytree(self.work, self._kept_work, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(self.work.parent)
            with contextlib.suppress(OSError):  # another run uses it
                self.work.parent.parent.rmdir()

    def kept_below(self, private: Path) -> str | None:
        """Return where the scratch folders are at the end, relative to the private folder; None if elsewhere."""
        folder = self._kept_work or self.work
        return str(folder.relative_to(private)) if folder.is_relative_to(private) else None

    def scratch(self, cell: Cell, attempt: int) -> Path:
        """Return the scratch folder of an attempt."""
        slug = "".join(c if c.isalnum() or c in ".-" else "-" for c in cell.case_id)
        return self.work / f"{self._numbers[cell.case_id]:03d}-{slug[:40]}-{attempt}"

    def setup(self) -> Setup:
        """Return the first message to the supervisor."""
        preparation = self.preparation
        schedulers, targets = preparation.schedulers, preparation.targets
        own = {
            each.label: EnvironmentChange(set=dict(each.deployment.delta), unset=list(each.deployment.unset))
            for each in targets
        }
        cores = len(os.sched_getaffinity(0))
        node = preparation.system.node
        return Setup(
            folder=str(self._jobs),
            envs={
                "harness": preparation.environ,
                **{each.own("deployment"): dict(each.deployment.environ) for each in targets},
                **{
                    each.own("inside"): payload_environment(preparation.outer, msgspec.structs.asdict(own[each.label]))
                    for each in targets
                },
            },
            changes={
                "harness": EnvironmentChange(),
                **{each.own("deployment"): own[each.label] for each in targets},
                **{
                    name: EnvironmentChange(
                        set=nesting.payload_variables(scheduler, preparation.target(owner(name)).deployment),
                        unset=own[owner(name)].unset,
                    )
                    for name, scheduler in schedulers.items()
                    if scheduler.outer
                },
            },
            schedulers={
                name: SchedulerSetup(
                    spec=scheduler.outermost.kind.spec,
                    env=scheduler.outermost.kind.env,
                    payload_cores=node.usable_cores or node.cores or 2,
                    inner=self._inner(scheduler),
                    testbed=scheduler.outermost.testbed is not None,
                )
                for name, scheduler in schedulers.items()
            },
            local_cores=preparation.system.local.core_limit(cores),
            login_slots=max(4, 2 * preparation.system.local.core_limit(cores)),
            machine_cores=cores,
            shared_cores=preparation.options.trigger == "rehearsal",
            python=sys.executable,
            mark=self._name,
            job_token=self.job_token,
            preflights=self._preflights(),
        )

    def _preflights(self) -> dict[str, list[str]]:
        preparation = self.preparation
        of_components = {
            target.own(name): argv
            for target in preparation.targets
            for name, kind in preparation.components.items()
            if name in target.contents.components and (argv := argv_of(kind, target.deployment))
        }
        interface, first = preparation.system.network.interface, preparation.targets[0].deployment
        return {**of_components, "": argv_of_conditions(first, [str(self.work)], interface)}

    def _inner(self, scheduler: AvailableScheduler) -> InnerSetup | None:
        if scheduler.outer is None:
            return None
        within = next(name for name, other in self.preparation.schedulers.items() if other is scheduler.outer)
        variables, gpus = nesting.added_variables(scheduler), self.preparation.system.node.gpus
        kind = scheduler.kind
        return InnerSetup(
            within=within, start=kind.spec.start, variables=variables, gpus=gpus, commands=kind.inner_commands()
        )

    def request(self, cell: Cell, attempt: int, *, alone: bool = False, fixture: str | None = None) -> LaunchRequest:
        """Return the launch request for one attempt at a cell, and create the scratch folder of the attempt.

        alone: nothing else may run on this machine at the same time. fixture: the name of the fixture that it shares.
        """
        case, preparation = cell.case, self.preparation
        target = preparation.target(cell.label)
        scheduler = preparation.schedulers[cell.scheduler]
        scratch = self.scratch(cell, attempt)
        scratch.mkdir(exist_ok=True)
        waits = scheduler.kind.batch and not scheduler.inside
        nested = scheduler.outer is not None
        wait = float(seconds(preparation.system.limits.queue_wait)) if waits else 0.0
        here = scheduler.outermost.testbed is not None or not waits or case.where == "login"
        slowdown = preparation.slowdown if here else 1.0
        walltime = case.walltime * slowdown
        limit = walltime + (0.0 if nested else wait) if case.total is None else case.total * slowdown
        limit = walltime if fixture else limit  # no job of its own waits in a queue
        view = {
            **scheduler.kind.view(case.nodes),
            "loopback": scheduler.testbed is not None or not scheduler.kind.batch,
        }
        frame = secrets.token_hex(16)
        payload_request = {
            "frame": frame,
            "params": dict(case.params),
            "scratch": str(scratch),
            "nodes": case.nodes,
            "cores": case.cores,
            "gpus": preparation.system.node.gpus,
            "where": case.where,
            "walltime": walltime,
            "limit": limit,
            "bin": target.deployment.bin,
            "scheduler": view,
        }
        payload = case.payload_file or PAYLOADS / case.payload  # an absolute path replaces the folder of payloads
        argv = [str(payload), json.dumps(payload_request)]
        if payload.suffix == ".py":  # any other payload is an executable program
            argv[:0] = [sys.executable, "-I"] if cell.control else [target.deployment.python]
        if not cell.control:
            argv = target.deployment.wrap(argv)
        where, env = case.where, "harness" if cell.control else target.own("deployment")
        if scheduler.inside:
            where, env = "login", target.own("inside")
            argv = [*scheduler.enter, *argv]
        elif nested:  # it has no login node: payloads submit jobs from inside the allocation
            where, env = "job" if case.where == "job" else "allocation", env if cell.control else cell.scheduler
            if cell.control:
                argv = scheduler.kind.control_argv(argv, JobSpec("control", Path(scratch), Path(scratch), 1, walltime))
        shared = self._fixture(fixture, cell, payload_request, wait, slowdown) if fixture else None
        outer_view = scheduler.outermost.kind.view(case.nodes)
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
            walltime=walltime,
            expected=min(self._earlier.get(cell.case_id, 0.0), walltime),
            limit=limit,
            queue_wait=wait,
            answer=case.answer,
            frame=frame,
            queue=outer_view["queue_name"],
            account=outer_view["account"],
            first=cell.control,
            components=[] if cell.control else [target.own(name) for name in (case.component, *case.partners)],
            alone=alone,
            fixture=shared,
        )

    def fixture_scratch(self, name: str) -> Path:
        """Return the folder that contains a folder for each start of a fixture."""
        return self.work / "".join(c if c.isalnum() or c in ".-" else "-" for c in name)

    def _fixture(
        self, name: str, cell: Cell, payload_request: dict[str, Any], wait: float, slowdown: float
    ) -> FixtureLaunch:
        """Return how the fixture of a case is started. payload_request: the case's; wait: seconds in a queue."""
        fixture = cell.case.fixture
        assert fixture is not None
        python = self.preparation.target(cell.label).deployment.python
        scratch = self.fixture_scratch(name)
        scratch.mkdir(exist_ok=True)
        walltime = fixture.walltime * slowdown
        request = {
            **{key: value for key, value in payload_request.items() if key not in ("frame", "scratch")},
            "program": str(fixture.payload_file or PAYLOADS / fixture.payload),
            "params": dict(fixture.params),
            "cores": fixture.cores,
            "walltime": walltime,
            "limit": fixture.start * slowdown,
        }
        return FixtureLaunch(
            name=name,
            argv=[python, str(PAYLOADS / "_fixture.py"), json.dumps(request)],
            enter=[python, str(PAYLOADS / "_guest.py")],
            scratch=str(scratch),
            start=fixture.start * slowdown,
            walltime=walltime,
            limit=walltime + (wait if cell.case.where == "login" else 0.0),
            jobs=fixture.jobs,
            cores=fixture.cores,
        )
