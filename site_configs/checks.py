"""What values of a site file say about each other: limits no job could meet, names that lead nowhere, secrets."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from site_configs.document import Key, Problem
from site_configs.fit import nearest
from site_configs.schema import Queue, SchedulerSpec, System, seconds
from site_configs.values import Match, Trigger

SCHEDULER_KINDS = ("cobalt", "flux", "lsf", "pbs", "slurm")
COMPONENTS = ("flux", "parsl", "psij", "radical.entk", "radical.pilot", "swift-t")
DEPLOYMENTS = ("conda", "image", "module", "path", "release", "spack", "venv")
BARE_DEPLOYMENTS = ("path", "release", "spack")
"""Kinds that can stand alone; ``release`` and ``spack`` may say which, ``path`` may not."""

ACCOUNT_FLAGS = {
    "slurm": r"-A|--account(=|\s|$)",
    "flux": r"-B|--bank(=|\s|$)",
    "pbs": r"-A|-P",
    "lsf": r"-P",
    "cobalt": r"-A|--project(=|\s|$)",
}
"""How an account would be given to each scheduler, as the start of a directive or launcher flag."""

START_WORDS = ("nodes", "cores", "gpus")
"""What is filled in where a nested scheduler is started."""

PREFIXES = ("#SBATCH", "#PBS", "#BSUB", "#COBALT", "#flux:", "#FLUX:")


def contradictions(system: System, today: datetime.date | None) -> Iterator[Problem]:
    """Yield every contradiction; without ``today`` the expiry of waivers is not looked at."""
    for index, spec in enumerate(system.schedulers):
        yield from _scheduler(spec, ("schedulers", index))
    yield from _labels(system)
    yield from _nesting(system)
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
    if node.usable_cores and not node.cores:
        yield Problem(("node", "usable_cores"), "of how many? say node.cores as well")
    if node.count is not None:
        for index, spec in enumerate(system.schedulers):
            for place, queue in enumerate(spec.queues):
                if (queue.max_nodes or queue.min_nodes) > node.count and not spec.nested:
                    key: Key = ("schedulers", index, "queues", place, "max_nodes" if queue.max_nodes else "min_nodes")
                    yield Problem(key, f"more than the {node.count} nodes that node.count gives the machine")
    if seconds(system.limits.queue_wait) == 0:
        yield Problem(("limits", "queue_wait"), "a wait of no time would give every job up at once")
    if system.cadence and system.stale_after and seconds(system.stale_after) < seconds(system.cadence):
        yield Problem(("stale_after",), "shorter than the cadence: every result would be stale before the next")
    if "*" in system.detect.hosts:
        yield Problem(("detect", "hosts"), "'*' matches every machine: name this one more closely")
    if system.work_dir and not system.work_dir.startswith(("/", "$", "~")):
        yield Problem(("work_dir",), "expected an absolute path, or one that starts with $VARIABLE or ~")
    if system.detect.match is Match.ANY and not (system.detect.hosts and system.detect.environment):
        yield Problem(("detect", "match"), "'any' chooses between hosts and environment: give both, or take it out")
    yield from _continuous(system)
    yield from _addresses(system)
    yield from _waivers(system, today)
    yield from _references(system)


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
    default = names.get(spec.default_queue or "")
    if default is not None and default.max_nodes is not None and spec.default_nodes > default.max_nodes:
        yield Problem((*key, "default_nodes"), f"{default.name!r} takes {default.max_nodes} at most")
    if default is not None and spec.default_nodes < default.min_nodes <= (default.max_nodes or default.min_nodes):
        yield Problem((*key, "default_nodes"), f"{default.name!r} takes {default.min_nodes} at least")
    for index, launcher in enumerate(spec.launchers):
        if launcher.name in [other.name for other in spec.launchers[:index]]:
            yield Problem((*key, "launchers", index, "name"), f"the launcher {launcher.name!r} is listed twice")
    if spec.reservation is not None and (spec.kind == "flux" or spec.nested):
        whose = "a nested scheduler" if spec.nested else "Flux"
        yield Problem((*key, "reservation"), f"{whose} has none: name the queue that is set up for it, or take it out")
    if spec.kind != "slurm":
        for index, queue in enumerate(spec.queues):
            if queue.by_qos or queue.partition or queue.qos:
                given = "by_qos" if queue.by_qos else "partition" if queue.partition else "qos"
                yield Problem((*key, "queues", index, given), f"only Slurm has it, this is {spec.kind}")
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
    if queue.by_qos and not queue.qos:
        yield Problem((*key, "by_qos"), "by which? give qos as well")
    if queue.by_qos and queue.partition:
        yield Problem((*key, "partition"), "by_qos says that no partition is named: keep one of the two")
    for place, step in enumerate(queue.steps):
        where: Key = (*key, "steps", place)
        if place and step.nodes <= queue.steps[place - 1].nodes:
            yield Problem((*where, "nodes"), "steps rise: put the smaller jobs first")
        if queue.max_nodes is not None and step.nodes > queue.max_nodes:
            yield Problem((*where, "nodes"), f"more than max_nodes {queue.max_nodes}")
        if queue.max_walltime and seconds(step.max_walltime) > seconds(queue.max_walltime):
            yield Problem((*where, "max_walltime"), f"more than the queue's max_walltime {queue.max_walltime}")
        if seconds(step.max_walltime) == 0:
            yield Problem((*where, "max_walltime"), "no job fits in no time")


def _labels(system: System) -> Iterator[Problem]:
    """Cases are named after a scheduler's label, so it stands for one."""
    seen: dict[str, int] = {}
    for index, spec in enumerate(system.schedulers):
        label = f"{spec.label} (nested)" if spec.nested and not spec.name else spec.label
        same = seen.setdefault(label, index)
        if same != index:
            message = f"{spec.label!r} again, as schedulers[{same}]: give each a name: of its own, or nest it"
            yield Problem(("schedulers", index, "name" if spec.name else "kind"), message)


def _nesting(system: System) -> Iterator[Problem]:
    outer = [spec.label for spec in system.schedulers if not spec.nested]
    for index, spec in enumerate(system.schedulers):
        key: Key = ("schedulers", index)
        if not spec.nested:
            for field in ("within", "start"):
                if getattr(spec, field):
                    yield Problem((*key, field), "only a nested scheduler has it: say nested: true as well")
            continue
        if spec.within is not None and spec.within not in outer:
            hint = nearest(spec.within, outer) if outer else "there is none"
            yield Problem((*key, "within"), f"{spec.within!r} is no scheduler that is not nested itself; {hint}")
        elif not outer:
            yield Problem((*key, "nested"), "there is no scheduler to be nested in")
        for place, word in enumerate(spec.start):
            unknown = [name for name in re.findall(r"\{(\w*)\}", word) if name not in START_WORDS]
            if unknown:
                message = f"{{{unknown[0]}}} is nothing that is filled in; known here: {', '.join(START_WORDS)}"
                yield Problem((*key, "start", place), message)


def _continuous(system: System) -> Iterator[Problem]:
    """A pipeline without a runner, and Slurm's crontab without Slurm, start nothing."""
    if system.ci.trigger is Trigger.GITLAB and not (system.runner.tags or system.runner.shell_tags):
        yield Problem(("ci", "trigger"), "a GitLab job needs a runner: give runner.tags")
    if system.ci.trigger is Trigger.SCRONTAB and all(spec.kind != "slurm" for spec in system.schedulers):
        yield Problem(("ci", "trigger"), "scrontab is Slurm's, and no Slurm is listed")
    if system.ci.trigger is not Trigger.NONE and system.cadence is None:
        yield Problem(("ci", "trigger"), "how often? give cadence as well")
    if system.ci.timeout and seconds(system.ci.timeout) == 0:
        yield Problem(("ci", "timeout"), "no job ends in no time")


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
    elif kind == "path" and colon:
        yield Problem(("deployment",), "'path' takes nothing after a colon: it is what is on PATH")
    elif kind in DEPLOYMENTS and not rest.strip() and (colon or kind not in BARE_DEPLOYMENTS):
        yield Problem(("deployment",), f"{kind!r} needs to say which: {kind}:NAME")


def _addresses(system: System) -> Iterator[Problem]:
    named: list[tuple[Key, str | None]] = [
        (("collector", "url"), system.collector.url),
        (("network", "proxy"), system.network.proxy),
        (("ci", "server"), system.ci.server),
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


def _references(system: System) -> Iterator[Problem]:
    """Of two for the same figure only the first would ever count."""
    seen: set[tuple[str, str]] = set()
    for index, reference in enumerate(system.references):
        same = (reference.cases, reference.metric)
        if same in seen:
            message = f"{reference.metric!r} of {reference.cases!r} is listed twice: keep one"
            yield Problem(("references", index, "metric"), message)
        seen.add(same)


def _spelling(component: str) -> str:
    """Compare names of components as entry points can write them, without dots."""
    return re.sub(r"[-_.]", "-", component)


@functools.cache
def _registered(group: str) -> frozenset[str]:
    """Names other packages have registered; nothing is imported for it, but every distribution is looked at once."""
    return frozenset(point.name for point in entry_points(group=group))
