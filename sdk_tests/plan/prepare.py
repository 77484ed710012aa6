"""Preparation of a plan: detect the system, start testbeds, probe schedulers, activate and probe the deployments."""

from __future__ import annotations

import os
import pwd
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdk_tests.deployments import Deployment, base_environ
from sdk_tests.errors import PlanError, TestbedError
from sdk_tests.plan import needs, nesting
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.components import components
from sdk_tests.plan.creation import create_beside, first_look, to_create
from sdk_tests.plan.machine_speed import slowdown
from sdk_tests.plan.options import Options
from sdk_tests.plan.preparation import Echo, Preparation
from sdk_tests.plan.target import SEPARATOR
from sdk_tests.plan.targets import named_deployments, probe_all, resolve_targets
from sdk_tests.plan.testbed_need import NOT_NEEDED, needed_testbeds
from sdk_tests.schedulers import AllocationCheck, SchedulerKind
from sdk_tests.schedulers.registry import answering_schedulers, kinds
from site_configs.schema import SchedulerSpec, State, System

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places


PROBE_AGAIN = 2
"""How often a scheduler that the site file names is probed again before it counts as absent."""


def prepare(
    options: Options,
    places: Places,
    echo: Echo,
    environ: Mapping[str, str] | None = None,
    *,
    try_early: bool = False,
) -> Preparation:
    """Detect the system, start the testbeds that its site file asks for, activate and probe the deployments.

    try_early: while the environment of a deployment is being created, try the schedulers that only this run uses.

    Raises:
        click.ClickException: one of these steps failed; exit code 2, one message.
    """
    from sdk_tests.testbeds.manage import down

    given = dict(os.environ if environ is None else environ)
    if "HOME" not in given and not _has_home():
        given["HOME"] = str(places.home)  # some components do not start without one
        echo(
            f"note: user id {os.getuid()} has no entry in passwd, and HOME is not set: payloads get HOME={places.home}"
        )
    system = _system(options, given)
    _check_work_folder(system)
    secrets = tuple(name for name in (system.collector.token_env,) if name)
    named = {str(name).lstrip("$") for spec in system.schedulers for name in (spec.account_env, spec.reservation)}
    outer = {**base_environ(given, secrets), **{name: given[name] for name in named & given.keys()}}
    known = kinds()
    defaults = sorted(
        name for name in outer.keys() - named if any(kind_class.is_default(name) for kind_class in known.values())
    )
    if defaults:
        echo(f"note: variables that change the defaults of scheduler commands are ignored: {', '.join(defaults)}")
    outer = {name: value for name, value in outer.items() if name not in defaults}
    env = outer
    for kind_class in known.values():
        env = kind_class(SchedulerSpec(kind=kind_class.kind), env).without_allocation(env)
    env = {**env, **{name: given[name] for name in named & given.keys()}}  # an account may be named SLURM_ACCOUNT
    testbeds: list[str] = []
    try:
        texts = named_deployments(options, system, places, echo)
        missing = to_create(texts, options, places)

        def schedulers(echo: Echo) -> Schedulers:
            return _available(system, options, places, (env, outer, given), testbeds, echo, bool(missing) and try_early)

        found = create_beside(missing, texts, options, places, echo, schedulers) if missing else schedulers(echo)
        available, env, absent = found
        if not available:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in absent.items()) or "the site file names none"
            raise PlanError(
                f"{system.system} permits no local cases and none of its schedulers can be used ({reasons}); "
                "nothing was run"
            )
        resolved = resolve_targets(texts, options, system, places, env, echo)
        for label, deployment, _ in resolved:
            _add_nested(system, available, absent, deployment, label, echo)
        known_components = components()
        targets = probe_all(resolved, known_components, needs.programs(available.values()), echo)
    except BaseException:
        for identity in testbeds:
            down(places.home, identity)
        raise
    factor = slowdown()
    if factor > 1.0:
        echo(f"this machine is slow or busy: time limits of what runs on it are multiplied by {factor:g}")
    return Preparation(
        options=options,
        places=places,
        system=system,
        schedulers=available,
        absent=absent,
        targets=targets,
        components=known_components,
        environ=env,
        outer=outer,
        testbeds=testbeds,
        slowdown=factor,
    )


Schedulers = tuple[dict[str, AvailableScheduler], dict[str, str], dict[str, str]]
"""The schedulers that answer, the environment for their commands, and the absent ones with the reason."""


def _available(
    system: System,
    options: Options,
    places: Places,
    environs: tuple[dict[str, str], dict[str, str], dict[str, str]],
    testbeds: list[str],
    echo: Echo,
    try_early: bool,
) -> Schedulers:
    """Start the testbeds, and return the schedulers. environs: without an allocation, outside any testbed, as given."""
    from sdk_tests.testbeds import VARIABLE

    env, outer, given = environs
    known = kinds()
    specs, env, absent = _schedulers(system, options, places, env, testbeds, echo)
    available: dict[str, AvailableScheduler] = {}
    for name, (spec, testbed) in specs.items():
        here = any(scheduler.inside for scheduler in available.values())
        allocation = None if testbed or here else _allocation(known[spec.kind](spec, outer), outer, name, echo)
        kind = known[spec.kind](spec, outer if allocation else env)
        probed = kind.probe()
        for _ in range(PROBE_AGAIN if probed.installed and not testbed and not probed.available else 0):
            time.sleep(1.0)  # one odd answer does not make a scheduler absent
            probed = probed if probed.available else kind.probe()
        if probed.available:
            available[name] = AvailableScheduler(
                kind,
                probed,
                testbed or given.get(VARIABLE),
                inside=allocation is not None,
                allocation_nodes=allocation.nodes if allocation else (),
                enter=allocation.enter if allocation else (),
            )
            echo(f"scheduler {name} {probed.version or ''}{' (throw-away testbed)' if testbed else ''}".rstrip())
            if try_early:
                first_look(name, available[name], echo)
        else:
            absent[name] = probed.reason or f"{name} does not answer"
    return available, env, absent


def _check_work_folder(system: System) -> None:
    """Create the folder for the files of cases that the site file names.

    Raises:
        PlanError: it cannot be written to.
    """
    if system.work_dir is None:
        return
    folder = Path(os.path.expandvars(system.work_dir)).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        raise PlanError(
            f"the folder for the files of cases, {folder} (work_dir: in the site file of {system.system}), cannot be "
            f"written to: {error.strerror}; correct work_dir, or make room there. Nothing was run"
        ) from error


def _has_home() -> bool:
    try:
        return bool(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return False


def _allocation(kind: SchedulerKind, environ: Mapping[str, str], name: str, echo: Echo) -> AllocationCheck | None:
    """Return the allocation that the harness is in; None if it is in none, whatever its variables say."""
    check = kind.allocation_of(environ) if kind.batch else None
    if check is None:
        return None
    if not check.alive:
        echo(f"not inside a job of {name} although {kind.job_variable}={check.job_id}: {check.reason}")
        return None
    echo(f"inside job {check.job_id} of {name}" + (f": {check.reason}" if check.reason else ""))
    return check


def _system(options: Options, environ: Mapping[str, str]) -> System:
    from site_configs.detect import detect
    from site_configs.load import find, load_file

    if options.site_file is not None and options.site is None:
        system = load_file(options.site_file)
    elif options.site is not None:
        system = find(options.site, site_file=options.site_file)
    else:
        return detect(scheduler_answers=lambda: answering_schedulers(environ))
    if system.state is State.RETIRED:
        raise PlanError(f"{system.system} is retired; rehearse its plan with `exaworks rehearse {system.system}`")
    return system


def _schedulers(
    system: System, options: Options, places: Places, env: dict[str, str], testbeds: list[str], echo: Echo
) -> tuple[dict[str, tuple[SchedulerSpec, str | None]], dict[str, str], dict[str, str]]:
    """Return the schedulers to probe, the environment for their commands, and the absent ones with the reason."""
    from sdk_tests.testbeds import manage

    specs: dict[str, tuple[SchedulerSpec, str | None]] = {}
    absent: dict[str, str] = {}
    if system.local.allowed:
        specs["local"] = (SchedulerSpec(kind="local"), None)
    for spec in system.schedulers:
        if not spec.nested:
            specs[spec.label] = (spec, None)
    wanted = {name.partition("+")[0] for name in options.selection.schedulers}
    needed = needed_testbeds(system, options)
    for name in system.testbeds:
        if name in specs or (wanted and name not in wanted):
            continue
        if name not in needed:
            absent[name] = NOT_NEEDED
            continue
        reason = manage.kind_of(name).absent()
        if reason:
            absent[name] = reason
            continue
        echo(f"starting a throw-away {name} testbed")
        try:
            testbed = manage.up(name, places.home, owner_pid=os.getpid())
        except TestbedError as error:  # the site file asks for one where it can be had; its cases are skipped
            absent[name] = f"the {name} testbed did not start: {error.format_message()}"
            echo(f"note: {absent[name]}")
            continue
        testbeds.append(testbed.id)
        env = manage.environment(testbed, env)
        specs[name] = (testbed.scheduler, testbed.id)
    if options.max_jobs is not None:
        limit = options.max_jobs
        specs = {
            name: (msgspec.structs.replace(spec, max_jobs=min(spec.max_jobs, limit)), testbed_id)
            for name, (spec, testbed_id) in specs.items()
        }
    return specs, env, absent


def _add_nested(
    system: System,
    available: dict[str, AvailableScheduler],
    absent: dict[str, str],
    deployment: Deployment,
    label: str,
    echo: Echo,
) -> None:
    """Add each nested scheduler to ``available``, or to ``absent`` with the reason why it cannot be started.

    A deployment other than the first has nested schedulers of its own, named with its label: their commands may be its.
    """
    for spec in system.schedulers:
        if not spec.nested:
            continue
        within = nesting.outer_label(system, spec)
        name = nesting.label(system, spec) + (f"{SEPARATOR}{label}" if label else "")
        if within not in available:
            reason = absent.get(within, f"{within} is not available")
            absent[name] = f"{spec.label} is started inside {within}: {reason}"
            continue
        nested = nesting.nested_scheduler(kinds()[spec.kind], spec, available[within], deployment)
        if isinstance(nested, str):
            absent[name] = nested
        else:
            available[name] = nested
            echo(f"scheduler {name} {nested.probe.version or ''}".rstrip())
