"""Nested schedulers: schedulers that are started inside an allocation of another one (``nested`` in a site file).

A nested scheduler has no queue of its own. A cell on it is named after both schedulers (``…@slurm+flux``). The harness
requests an allocation from the outer scheduler, starts the inner one in it with the command of the site file, and runs
all cases of the inner kind under it, including those that submit jobs themselves.
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
    """Return the name of the scheduler in whose allocations a nested one is started."""
    return spec.within or next((other.label for other in system.schedulers if not other.nested), "another scheduler")


def label(system: System, spec: SchedulerSpec) -> str:
    """Return the name of a nested scheduler: ``outer+inner``."""
    return f"{outer_label(system, spec)}+{spec.label}"


def nested_scheduler(
    kind: type[SchedulerKind], spec: SchedulerSpec, outer: AvailableScheduler, deployment: Deployment
) -> AvailableScheduler | str:
    """Return a nested scheduler that can be started in ``outer``, or the reason why it cannot.

    Its commands come from the modules that its entry in the site file names, or else from the deployment and the
    user's PATH.
    """
    if outer.inside:
        return f"the harness itself runs inside a job of {outer.kind.kind} and cannot request an allocation there"
    if not spec.start:
        return f"the site file does not define how {spec.label} is started in an allocation: add the key start"
    env = {**outer.kind.env, **deployment.delta}
    try:
        inner = kind(spec, with_modules(spec.modules, outer.kind.env) if spec.modules else env)
    except DeploymentError as error:
        return error.format_message().removeprefix("--deployment ")
    installed = inner.installed()
    if not installed.available:
        return installed.reason or f"{spec.label} is not installed"
    return AvailableScheduler(inner, replace(installed, nodes=outer.probe.nodes, queues=()), outer.testbed, outer=outer)


def added_variables(scheduler: AvailableScheduler) -> dict[str, str]:
    """Return the variables that a job of the outer scheduler needs in order to run a nested scheduler's commands."""
    if scheduler.outer is None:
        return {}
    before = scheduler.outer.kind.env
    return {name: value for name, value in scheduler.kind.env.items() if before.get(name) != value}


def payload_variables(scheduler: AvailableScheduler, deployment: Deployment) -> dict[str, str]:
    """Return the variables that payloads get in addition to the environment of their job.

    On PATH, the deployment's interpreter comes first, then the modules' commands, then the rest of the deployment.
    """
    added = added_variables(scheduler)
    variables = {**added, **deployment.delta}
    if "PATH" in deployment.delta and "PATH" in added:
        first = deployment.delta["PATH"].split(os.pathsep)
        rest = [part for part in scheduler.kind.env["PATH"].split(os.pathsep) if part not in first]
        variables["PATH"] = os.pathsep.join([first[0], *rest, *first[1:]])
    return variables
