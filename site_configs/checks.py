"""What values of a site file say about each other: limits no job could meet, names that lead nowhere, secrets."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from site_configs.document import Key, Problem
from site_configs.fit import nearest
from site_configs.schema import Queue, SchedulerSpec, System, seconds

SCHEDULER_KINDS = ("cobalt", "flux", "lsf", "pbs", "slurm")
COMPONENTS = ("flux", "parsl", "psij", "radical.entk", "radical.pilot", "swift-t")
DEPLOYMENTS = ("conda", "image", "module", "path", "release", "spack", "venv")
BARE_DEPLOYMENTS = ("path", "release")
"""Kinds that can stand alone; ``release`` may say which, ``path`` may not."""

ACCOUNT_FLAGS = {
    "slurm": r"-A|--account(=|\s|$)",
    "flux": r"-B|--bank(=|\s|$)",
    "pbs": r"-A|-P",
    "lsf": r"-P",
    "cobalt": r"-A|--project(=|\s|$)",
}
"""How an account would be given to each scheduler, as the start of a directive or launcher flag."""

PREFIXES = ("#SBATCH", "#PBS", "#BSUB", "#COBALT", "#flux:", "#FLUX:")


def contradictions(system: System, today: datetime.date | None) -> Iterator[Problem]:
    """Yield every contradiction; without ``today`` the expiry of waivers is not looked at."""
    seen: dict[tuple[str, bool], int] = {}
    for index, spec in enumerate(system.schedulers):
        key: Key = ("schedulers", index)
        yield from _scheduler(spec, key)
        same = seen.setdefault((spec.kind, spec.nested), index)
        if same != index:
            message = f"{spec.kind!r} again, as schedulers[{same}]: only a nested one may join another of its kind"
            yield Problem((*key, "kind"), message)
    yield from _deployment(system)
    kinds = sorted(_registered("exaworks.testbeds") or {"slurm"})
    for index, name in enumerate(system.testbeds):
        if name not in kinds:
            yield Problem(("testbeds", index), f"{name!r} is not a kind of testbed; {nearest(name, kinds)}")
    ours = {_spelling(name) for name in COMPONENTS}
    others = {_spelling(name) for name in _registered("exaworks.components")} - ours
    for index, name in enumerate(system.promises):
        if name not in COMPONENTS and _spelling(name) not in others:
            yield Problem(("promises", index), f"{name!r} is not a component; {nearest(name, list(COMPONENTS))}")
    node = system.node
    if node.cores and node.usable_cores and node.usable_cores > node.cores:
        yield Problem(("node", "usable_cores"), f"{node.usable_cores} are more than the node's {node.cores} cores")
    if seconds(system.limits.queue_wait) == 0:
        yield Problem(("limits", "queue_wait"), "a wait of no time would give every job up at once")
    if system.cadence and system.stale_after and seconds(system.stale_after) < seconds(system.cadence):
        yield Problem(("stale_after",), "shorter than the cadence: every result would be stale before the next")
    if "*" in system.detect.hosts:
        yield Problem(("detect", "hosts"), "'*' matches every machine: name this one more closely")
    if system.work_dir and not system.work_dir.startswith(("/", "$", "~")):
        yield Problem(("work_dir",), "expected an absolute path, or one that starts with $VARIABLE or ~")
    yield from _addresses(system)
    yield from _waivers(system, today)


def _scheduler(spec: SchedulerSpec, key: Key) -> Iterator[Problem]:
    known = sorted({*SCHEDULER_KINDS, *_registered("exaworks.schedulers")} - {"local"})
    if spec.kind == "local":
        yield Problem((*key, "kind"), "local is not listed: say local.allowed and local.cores instead")
    elif spec.kind not in known:
        yield Problem((*key, "kind"), f"{spec.kind!r} is not a scheduler kind; {nearest(spec.kind, known)}")
    names: dict[str, Queue] = {}
    for index, queue in enumerate(spec.queues):
        yield from _queue(queue, (*key, "queues", index))
        if queue.name in names:
            yield Problem((*key, "queues", index, "name"), f"the queue {queue.name!r} is listed twice")
        names.setdefault(queue.name, queue)
    for field, name in (("default_queue", spec.default_queue), ("multi_node_queue", spec.multi_node_queue)):
        if name is not None and name not in names:
            hint = nearest(name, list(names)) if names else "no queues are listed"
            yield Problem((*key, field), f"{name!r} is not in queues; {hint}")
    wide = names.get(spec.multi_node_queue or "")
    if wide is not None and wide.max_nodes == 1:
        yield Problem((*key, "multi_node_queue"), f"{wide.name!r} takes one node at most")
    yield from _account(spec, key)


def _queue(queue: Queue, key: Key) -> Iterator[Problem]:
    if queue.max_nodes is not None and queue.min_nodes > queue.max_nodes:
        message = f"no job fits: min_nodes {queue.min_nodes} is more than max_nodes {queue.max_nodes}"
        yield Problem((*key, "min_nodes"), message)
    if queue.max_walltime is not None:
        if seconds(queue.max_walltime) == 0:
            yield Problem((*key, "max_walltime"), "no job fits in no time")
        elif queue.min_walltime is not None and seconds(queue.min_walltime) > seconds(queue.max_walltime):
            message = f"no job fits: min_walltime {queue.min_walltime} is more than max_walltime {queue.max_walltime}"
            yield Problem((*key, "min_walltime"), message)


def _account(spec: SchedulerSpec, key: Key) -> Iterator[Problem]:
    """An account in a directive is in the file, and beside ``account_env`` it is given twice."""
    flag = re.compile(ACCOUNT_FLAGS.get(spec.kind, r"--account(=|\s|$)"))
    words = [((*key, "directives", index), text) for index, text in enumerate(spec.directives)]
    for index, launcher in enumerate(spec.launchers):
        words += [((*key, "launchers", index, "flags", place), text) for place, text in enumerate(launcher.flags)]
    for where, text in words:
        if flag.match(text):
            twice = f"the account is given twice, account_env is {spec.account_env}: " if spec.account_env else ""
            message = f"{twice}accounts are never in the file: take it out and use account_env alone"
            yield Problem(where, message)
        elif text.startswith(PREFIXES):
            yield Problem(where, f"leave {text.split()[0]} out: the prefix is added")
        elif "\n" in text:
            yield Problem(where, "one line each: make it several entries")


def _deployment(system: System) -> Iterator[Problem]:
    if system.deployment is None:
        return
    kind, colon, rest = system.deployment.partition(":")
    known = sorted({*DEPLOYMENTS, *_registered("exaworks.deployments")})
    if kind not in known:
        yield Problem(("deployment",), f"{kind!r} is not a kind of deployment; {nearest(kind, known)}")
    elif kind not in BARE_DEPLOYMENTS and kind in DEPLOYMENTS and not rest.strip():
        yield Problem(("deployment",), f"{kind!r} needs to say which: {kind}:NAME")
    elif kind == "path" and colon:
        yield Problem(("deployment",), "'path' takes nothing after a colon: it is what is on PATH")


def _addresses(system: System) -> Iterator[Problem]:
    named: list[tuple[Key, str | None]] = [
        (("collector", "url"), system.collector.url),
        (("network", "proxy"), system.network.proxy),
    ]
    for key, address in named:
        if address is None:
            continue
        try:
            parts = urlsplit(address)
            usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable:
            yield Problem(key, "expected an address with a host name")
        elif "@" in parts.netloc:
            yield Problem(key, "user names and passwords are never in the file: take them out")
    if system.collector.embedded and system.collector.url:
        yield Problem(("collector", "embedded"), "either an embedded collector or the one at url, not both")


def _waivers(system: System, today: datetime.date | None) -> Iterator[Problem]:
    for index, waiver in enumerate(system.waivers):
        key: Key = ("waivers", index, "expires")
        try:
            expires = datetime.date.fromisoformat(waiver.expires)
        except ValueError:
            yield Problem(key, f"{waiver.expires} is not a day of the calendar")
            continue
        if today is not None and expires < today:
            message = f"the waiver for {waiver.cases!r} expired on {expires}: take it out, or look again and extend it"
            yield Problem(key, message)


def _spelling(component: str) -> str:
    """Compare names of components as entry points can write them, without dots."""
    return re.sub(r"[-_.]", "-", component)


def _registered(group: str) -> set[str]:
    """Names other packages have registered; nothing is imported for it."""
    return {point.name for point in entry_points(group=group)}
