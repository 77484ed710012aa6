"""Schedulers that are started inside an allocation of another, which a site file calls ``nested``.

Such a one has no queue of its own. A cell on it is named after both (``…@slurm+flux``): the harness asks the outer one
for an allocation, starts the inner one in it by the site's own command, and in that runs what is meant for the inner
kind, also what submits by itself.
"""

from __future__ import annotations

import os
from dataclasses import replace

from sdk_tests.deployments import Deployment
from sdk_tests.deployments.module import with_modules
from sdk_tests.errors import DeploymentError
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.schedulers import SchedulerKind
from site_configs.schema import SchedulerSpec, System


def outer_label(system: System, spec: SchedulerSpec) -> str:
    """Return what the scheduler is called in which a nested one runs."""
    return spec.within or next((other.label for other in system.schedulers if not other.nested), "another scheduler")


def label(system: System, spec: SchedulerSpec) -> str:
    """Return what a nested scheduler is called: both names."""
    return f"{outer_label(system, spec)}+{spec.label}"


def ready(
    kind: type[SchedulerKind], spec: SchedulerSpec, outer: AvailableScheduler, deployment: Deployment
) -> AvailableScheduler | str:
    """Return a nested scheduler that can be started in ``outer``, or why it cannot.

    Its commands are those of the modules that its entry names, or else the deployment's and the user's own.
    """
    if outer.inside:
        return f"the harness itself runs inside a job of {outer.kind.kind}, which it has not to give away"
    if not spec.start:
        return f"the site file does not say how {spec.label} is started in an allocation: give start"
    env = {**outer.kind.env, **deployment.delta}
    try:
        made = kind(spec, with_modules(spec.modules, outer.kind.env) if spec.modules else env)
    except DeploymentError as error:
        return error.format_message().removeprefix("--deployment ")
    seen = made.installed()
    if not seen.found:
        return seen.reason or f"{spec.label} is not here"
    return AvailableScheduler(made, replace(seen, nodes=outer.probe.nodes, queues=()), outer.testbed, outer=outer)


def added(ready: AvailableScheduler) -> dict[str, str]:
    """Return what it takes to find a nested scheduler's commands in the environment of the outer one's jobs."""
    if ready.outer is None:
        return {}
    before = ready.outer.kind.env
    return {name: value for name, value in ready.kind.env.items() if before.get(name) != value}


def delta(ready: AvailableScheduler, deployment: Deployment) -> dict[str, str]:
    """Return what payloads get beside their job's environment: the deployment's, and what modules put on PATH."""
    made = {**added(ready), **deployment.delta}
    if "PATH" in deployment.delta and "PATH" in added(ready):
        first = deployment.delta["PATH"].split(os.pathsep)
        rest = [part for part in ready.kind.env["PATH"].split(os.pathsep) if part not in first]
        made["PATH"] = os.pathsep.join([first[0], *rest, *first[1:]])
    return made
