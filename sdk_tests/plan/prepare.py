"""Everything a plan needs to know before it is made: the system, its schedulers, the deployment, and what is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from sdk_tests.deployments import Deployment, base_environ, resolve
from sdk_tests.deployments.venv import virtual_environment
from sdk_tests.errors import PlanError
from sdk_tests.plan import nesting
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.components import components
from sdk_tests.plan.options import Options
from sdk_tests.plan.preparation import Echo, Preparation
from sdk_tests.plan.probe import DeploymentContents, probe
from sdk_tests.schedulers.registry import answers, kinds
from site_configs.schema import SchedulerSpec, State, System

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places
    from exaworks_sdk.release import Release


def prepare(options: Options, places: Places, echo: Echo, environ: Mapping[str, str] | None = None) -> Preparation:
    """Recognise the system, bring up testbeds where its file asks for them, activate and probe the deployment.

    Raises:
        click.ClickException: exit code 2, one message: any of this is not possible.
    """
    from sdk_tests.testbeds import VARIABLE
    from sdk_tests.testbeds.manage import down

    given = dict(os.environ if environ is None else environ)
    system = _system(options, given)
    secrets = tuple(name for name in (system.collector.token_env,) if name)
    named = {str(name).lstrip("$") for spec in system.schedulers for name in (spec.account_env, spec.reservation)}
    outer = {**base_environ(given, secrets), **{name: given[name] for name in named & given.keys()}}
    known = kinds()
    inside = next((name for name, kind in known.items() if kind.job_variable and kind.job_variable in outer), None)
    env = outer
    for kind_class in known.values():
        env = kind_class(SchedulerSpec(kind=kind_class.kind), env).scrubbed(env)
    testbeds: list[str] = []
    try:
        specs, env, absent = _schedulers(system, options, places, env, testbeds, echo)
        ready = {}
        for name, (spec, testbed) in specs.items():
            here = spec.kind == inside and testbed is None
            kind = known[spec.kind](spec, outer if here else env)
            seen = kind.probe()
            if seen.found:
                ready[name] = AvailableScheduler(kind, seen, testbed or given.get(VARIABLE), inside=here)
                echo(f"scheduler {name} {seen.version or ''}{' (throw-away testbed)' if testbed else ''}".rstrip())
            else:
                absent[name] = seen.reason or f"{name} does not answer"
        if not ready:
            raise PlanError(f"{system.system} permits no local cases and none of its schedulers answers: {absent}")
        deployment, release = _deployment(options, system, places, env, echo)
        _nested(system, ready, absent, deployment, echo)
        known_components = components()
        contents = probe(deployment, known_components)
    except BaseException:
        for identity in testbeds:
            down(places.home, identity)
        raise
    echo(f"deployment {deployment.name}: Python {contents.python}, {_listed(contents)}")
    return Preparation(
        options=options,
        places=places,
        system=system,
        release=release,
        schedulers=ready,
        absent=absent,
        deployment=deployment,
        contents=contents,
        components=known_components,
        environ=env,
        outer=outer,
        testbeds=testbeds,
    )


def _listed(found: DeploymentContents) -> str:
    return ", ".join(f"{c.name} {c.version}" for c in found.components.values()) or "no component found"


def _system(options: Options, environ: Mapping[str, str]) -> System:
    from site_configs.detect import detect
    from site_configs.load import find, load_file

    if options.site_file is not None and options.site is None:
        system = load_file(options.site_file)
    elif options.site is not None:
        system = find(options.site, site_file=options.site_file)
    else:
        return detect(scheduler_answers=lambda: answers(environ))
    if system.state is State.RETIRED:
        raise PlanError(f"{system.system} is retired; try its plan with `exaworks rehearse {system.system}`")
    return system


def _schedulers(
    system: System, options: Options, places: Places, env: dict[str, str], testbeds: list[str], echo: Echo
) -> tuple[dict[str, tuple[SchedulerSpec, str | None]], dict[str, str], dict[str, str]]:
    """Return the schedulers to probe, the environment in which they answer, and those that cannot be had, with why."""
    from sdk_tests.testbeds import manage

    specs: dict[str, tuple[SchedulerSpec, str | None]] = {}
    absent: dict[str, str] = {}
    if system.local.allowed:
        specs["local"] = (SchedulerSpec(kind="local"), None)
    for spec in system.schedulers:
        if not spec.nested:
            specs[spec.label] = (spec, None)
    wanted = {name.partition("+")[0] for name in options.selection.schedulers}
    for name in system.testbeds:
        if name in specs or (wanted and name not in wanted):
            continue
        reason = manage.kind_of(name).absent()
        if reason:
            absent[name] = reason
            continue
        echo(f"bringing up a throw-away {name}")
        bed = manage.up(name, places.home, owner_pid=os.getpid())
        testbeds.append(bed.id)
        env = manage.environment(bed, env)
        specs[name] = (bed.scheduler, bed.id)
    if options.max_jobs is not None:
        limit = options.max_jobs
        specs = {
            name: (msgspec.structs.replace(spec, max_jobs=min(spec.max_jobs, limit)), bed)
            for name, (spec, bed) in specs.items()
        }
    return specs, env, absent


def _nested(
    system: System, ready: dict[str, AvailableScheduler], absent: dict[str, str], deployment: Deployment, echo: Echo
) -> None:
    """Add the schedulers that are started inside allocations of those that answer."""
    for spec in system.schedulers:
        if not spec.nested:
            continue
        name, within = nesting.label(system, spec), nesting.outer_label(system, spec)
        if within not in ready:
            absent[name] = f"{spec.label} is started inside {within}: {absent.get(within, 'which is not here')}"
            continue
        made = nesting.ready(kinds()[spec.kind], spec, ready[within], deployment)
        if isinstance(made, str):
            absent[name] = made
        else:
            ready[name] = made
            echo(f"scheduler {name} {made.probe.version or ''}".rstrip())


def _deployment(
    options: Options, system: System, places: Places, env: dict[str, str], echo: Echo
) -> tuple[Deployment, Release | None]:
    text = options.deployment or system.deployment or "path"
    if text == "spack":
        return _spack(system, places, env)
    if text != "release" and not text.startswith("release:"):
        deployment = resolve(text, env)
        promised: dict[str, str | None] = dict.fromkeys(system.promises)
        return replace(deployment, promises=promised), None
    from exaworks_sdk.install import pip_deployment
    from exaworks_sdk.release import load

    release = load(text.partition(":")[2] or None)
    folder = pip_deployment(places, release, progress=echo, wheelhouse=options.wheelhouse)
    deployment = virtual_environment(folder, env, name=f"release {release.name}")
    promised = {c.name: c.version for c in release.components if c.promised}
    for name in system.promises:
        promised.setdefault(name, None)
    return replace(deployment, promises=promised, release=release.name), release


def _spack(system: System, places: Places, env: dict[str, str]) -> tuple[Deployment, Release]:
    """Take what ``exaworks install`` has made here; it promises all that it was concretized to hold."""
    from exaworks_sdk.install import spack_deployment
    from exaworks_sdk.release import load

    release = load(None)
    folder, held = spack_deployment(places, release)
    promised = {**dict.fromkeys(system.promises), **held}
    deployment = replace(resolve(f"spack:{folder}", env), name=f"spack {release.name}")
    return replace(deployment, promises=promised, release=release.name), release
