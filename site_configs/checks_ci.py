"""Check the part of a site file about unattended runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from site_configs.document import Key, Problem
from site_configs.fit import nearest
from site_configs.lanes import KINDS, NAMED
from site_configs.schema import System, seconds
from site_configs.values import Trigger


def unattended(system: System) -> Iterator[Problem]:
    """Yield every contradiction in ``runner`` and ``ci``."""
    yield from _trigger(system)
    yield from _pods(system)
    yield from _variables(system)
    yield from _lanes(system)


def _trigger(system: System) -> Iterator[Problem]:
    """Yield triggers that start nothing, such as a pipeline without a runner or scrontab without Slurm."""
    triggers, ci = system.ci.triggers, system.ci
    if ci.trigger == []:
        yield Problem(("ci", "trigger"), "the list is empty: name a trigger, or remove the key")
    if Trigger.GITLAB in triggers and not (system.runner.tags or system.runner.shell_tags):
        yield Problem(("ci", "trigger"), "a GitLab job needs a runner: give runner.tags")
    if Trigger.SCRONTAB in triggers and all(spec.kind != "slurm" for spec in system.schedulers):
        yield Problem(("ci", "trigger"), "scrontab belongs to Slurm, and no Slurm is listed under schedulers")
    if triggers and system.cadence is None:
        yield Problem(("ci", "trigger"), "scheduled runs need an interval: give cadence as well")
    if ci.timeout and seconds(ci.timeout) == 0:
        yield Problem(("ci", "timeout"), "with a timeout of zero no job can finish: give a longer time")


def _pods(system: System) -> Iterator[Problem]:
    pods = system.ci.pods
    if pods is None:
        return
    if next((spec.kind for spec in system.schedulers if not spec.nested), None) != "slurm":
        yield Problem(("ci", "pods"), "pods submit with sbatch, and the first scheduler of this system is not Slurm")
    if not pods.tags:
        yield Problem(("ci", "pods", "tags"), "the list is empty: give the tag of your own runner")
    if not re.match(r"[/$]", pods.builds_dir):
        yield Problem(("ci", "pods", "builds_dir"), "expected an absolute path, or one that starts with $VARIABLE")
    if system.ci.package_jobs:
        yield Problem(
            ("ci", "package_jobs"), "a job for each package needs the site's own runners: remove this or pods"
        )


def _lanes(system: System) -> Iterator[Problem]:
    before: set[str] = set()
    for index, text in enumerate(system.ci.lanes):
        key: Key = ("ci", "lanes", index)
        kind, colon, name = text.partition(":")
        if kind not in KINDS:
            yield Problem(key, f"{kind!r} is not a kind of lane; {nearest(kind, sorted(KINDS))}")
        elif not name and (colon or kind in NAMED):
            yield Problem(key, f"{kind!r} needs a name: write {kind}:NAME")
        elif name and kind in ("conda", "spack"):
            yield Problem(key, f"a lane {kind} makes its own deployment: write {kind} alone")
        elif "$" in text:
            yield Problem(key, "a lane must not contain a variable")
        elif text in before:
            yield Problem(key, f"{text!r} is named twice: remove one of them")
        before.add(text)
    if system.ci.lanes and system.ci.package_jobs:
        yield Problem(("ci", "package_jobs"), "a pipeline with lanes has no job for each package: remove this or lanes")


def _variables(system: System) -> Iterator[Problem]:
    """Yield variables of the pipeline that are listed twice, and tags that name a variable which is not listed."""
    known: set[str] = set()
    for index, variable in enumerate(system.ci.variables):
        if variable.name in known:
            yield Problem(("ci", "variables", index, "name"), f"{variable.name} is listed twice: keep one")
        known.add(variable.name)
    runner, pods = system.runner, system.ci.pods
    tags: list[tuple[Key, list[str]]] = [
        (("runner", "tags"), runner.tags),
        (("runner", "shell_tags"), runner.shell_tags),
        (("runner", "batch_tags"), runner.batch_tags),
        (("ci", "pods", "tags"), pods.tags if pods else []),
    ]
    for key, names in tags:
        for index, tag in enumerate(names):
            match = re.fullmatch(r"\$([A-Za-z_][A-Za-z0-9_]*)", tag)
            if match and match[1] not in known:
                message = f"{tag} is no variable of this file: list it under ci.variables, with its meaning"
                yield Problem((*key, index), message)
