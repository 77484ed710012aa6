"""Check the values of a site file against each other: limits that no job can meet, undefined names, secrets."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from site_configs.checks_ci import unattended
from site_configs.document import Key, Problem
from site_configs.fit import nearest
from site_configs.schema import Queue, SchedulerSpec, System, seconds
from site_configs.values import Match

SCHEDULER_KINDS = ("cobalt", "flux", "lsf", "pbs", "slurm")
COMPONENTS = ("flux", "parsl", "psij", "radical.entk", "radical.pilot", "swift-t")
DEPLOYMENTS = ("conda", "image", "module", "path", "release", "spack", "venv")
BARE_DEPLOYMENTS = ("conda", "path", "release", "spack")
"""Kinds that need no name after a colon; ``path`` may have none, the others may."""

ACCOUNT_FLAGS = {
    "slurm": r"-A|--account(=|\s|$)",
    "flux": r"-B|--bank(=|\s|$)",
    "pbs": r"-A|-P",
    "lsf": r"-P",
    "cobalt": r"-A|--project(=|\s|$)",
}
"""Patterns of the options that give an account to each scheduler, at the start of a directive or launcher flag."""

PLACEHOLDERS = ("nodes", "cores", "gpus")
"""The placeholders that are filled in in the command that starts a nested scheduler."""

PREFIXES = ("#SBATCH", "#PBS", "#BSUB", "#COBALT", "#flux:", "#FLUX:")


def contradictions(system: System, today: datetime.date | None) -> Iterator[Problem]:
    """Yield every contradiction; without ``today`` the expiry dates of waivers are not checked."""
    for index, spec in enumerate(system.schedulers):
        yield from _scheduler(spec, ("schedulers", index))
    yield from _labels(system)
    yield from _nesting(system)
    yield from _deployment(system)
    kinds = sorted(_registered("exaworks.testbeds") or {"slurm"})
    for index, name in enumerate(system.testbeds):
        if name not in kinds:
            yield Problem(("testbeds", index), f"{name!r} is not a kind of testbed; {nearest(name, kinds)}")
    own = {_spelling(name) for name in COMPONENTS}
    registered = {_spelling(name) for name in _registered("exaworks.components")} - own
    for index, name in enumerate(system.promises):
        if name not in COMPONENTS and _spelling(name) not in registered:
            yield Problem(("promises", index), f"{name!r} is not a component; {nearest(name, list(COMPONENTS))}")
    node = system.node
    if node.cores and node.usable_cores and node.usable_cores > node.cores:
        message = f"{node.usable_cores} usable cores are more than the {node.cores} cores in node.cores"
        yield Problem(("node", "usable_cores"), message)
    if node.usable_cores and not node.cores:
        yield Problem(("node", "usable_cores"), "node.cores is missing: usable_cores are a part of it, give both")
    if node.count is not None:
        for index, spec in enumerate(system.schedulers):
            for place, queue in enumerate(spec.queues):
                if (queue.max_nodes or queue.min_nodes) > node.count and not spec.nested:
                    key: Key = ("schedulers", index, "queues", place, "max_nodes" if queue.max_nodes else "min_nodes")
                    yield Problem(key, f"more than the {node.count} nodes that the machine has (node.count)")
    if seconds(system.limits.queue_wait) == 0:
        yield Problem(("limits", "queue_wait"), "with a wait of zero every job is given up at once: give a longer time")
    if system.cadence and system.stale_after and seconds(system.stale_after) < seconds(system.cadence):
        yield Problem(("stale_after",), "shorter than the cadence: every result would be stale before the next run")
    if "*" in system.detect.hosts:
        yield Problem(("detect", "hosts"), "'*' matches every machine: give a pattern that matches only this one")
    if system.work_dir and not system.work_dir.startswith(("/", "$", "~")):
        yield Problem(("work_dir",), "expected an absolute path, or one that starts with $VARIABLE or ~")
    if system.detect.match is Match.ANY and not (system.detect.hosts and system.detect.environment):
        yield Problem(("detect", "match"), "'any' needs both hosts and environment: give both, or remove this key")
    yield from unattended(system)
    yield from _addresses(system)
    yield from _waivers(system, today)
    yield from _references(system)


def _scheduler(spec: SchedulerSpec, key: Key) -> Iterator[Problem]:
    known = sorted({*SCHEDULER_KINDS, *_registered("exaworks.schedulers")} - {"local"})
    if spec.kind == "local":
        yield Problem((*key, "kind"), "'local' is not listed as a scheduler: use local.allowed and local.cores instead")
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
        yield Problem((*key, "default_nodes"), f"the queue {default.name!r} allows at most {default.max_nodes} nodes")
    if default is not None and spec.default_nodes < default.min_nodes <= (default.max_nodes or default.min_nodes):
        yield Problem((*key, "default_nodes"), f"the queue {default.name!r} needs at least {default.min_nodes} nodes")
    for index, launcher in enumerate(spec.launchers):
        if launcher.name in [other.name for other in spec.launchers[:index]]:
            yield Problem((*key, "launchers", index, "name"), f"the launcher {launcher.name!r} is listed twice")
    if spec.reservation is not None and (spec.kind == "flux" or spec.nested):
        scheduler = "a nested scheduler" if spec.nested else "Flux"
        message = f"{scheduler} has no reservations: remove this key, or name a queue that is set up for the purpose"
        yield Problem((*key, "reservation"), message)
    if spec.dialect is not None and spec.kind != "lsf":
        yield Problem((*key, "dialect"), f"only LSF has this key; the scheduler is {spec.kind}")
    if spec.kind != "slurm":
        for index, queue in enumerate(spec.queues):
            if queue.by_qos or queue.partition or queue.qos:
                given = "by_qos" if queue.by_qos else "partition" if queue.partition else "qos"
                yield Problem((*key, "queues", index, given), f"only Slurm has this key; the scheduler is {spec.kind}")
    wide = names.get(spec.multi_node_queue or "")
    if wide is not None and wide.max_nodes == 1:
        yield Problem((*key, "multi_node_queue"), f"the queue {wide.name!r} allows at most one node")
    yield from _account(spec, key)


def _queue(queue: Queue, key: Key) -> Iterator[Problem]:
    if queue.max_nodes is not None and queue.min_nodes > queue.max_nodes:
        message = f"no job fits: min_nodes {queue.min_nodes} is more than max_nodes {queue.max_nodes}"
        yield Problem((*key, "min_nodes"), message)
    if queue.max_walltime is not None:
        if seconds(queue.max_walltime) == 0:
            yield Problem((*key, "max_walltime"), "no job fits: the limit is zero")
        elif queue.min_walltime is not None and seconds(queue.min_walltime) > seconds(queue.max_walltime):
            message = f"no job fits: min_walltime {queue.min_walltime} is more than max_walltime {queue.max_walltime}"
            yield Problem((*key, "min_walltime"), message)
    if queue.by_qos and not queue.qos:
        yield Problem((*key, "by_qos"), "by_qos needs the name of a QOS: give qos as well")
    if queue.by_qos and queue.partition:
        yield Problem((*key, "partition"), "by_qos means that jobs name no partition: keep one of the two keys")
    for place, step in enumerate(queue.steps):
        where: Key = (*key, "steps", place)
        if place and step.nodes <= queue.steps[place - 1].nodes:
            yield Problem((*where, "nodes"), "steps must be in rising order: put the smaller jobs first")
        if queue.max_nodes is not None and step.nodes > queue.max_nodes:
            yield Problem((*where, "nodes"), f"more than max_nodes {queue.max_nodes}")
        if queue.max_walltime and seconds(step.max_walltime) > seconds(queue.max_walltime):
            yield Problem((*where, "max_walltime"), f"more than the queue's max_walltime {queue.max_walltime}")
        if seconds(step.max_walltime) == 0:
            yield Problem((*where, "max_walltime"), "no job fits: the limit is zero")


def _labels(system: System) -> Iterator[Problem]:
    """Yield schedulers that share a label: the name of a case contains the label, so it has to be unique."""
    known: dict[str, int] = {}
    for index, spec in enumerate(system.schedulers):
        label = f"{spec.label} (nested)" if spec.nested and not spec.name else spec.label
        first = known.setdefault(label, index)
        if first != index:
            message = (
                f"{spec.label!r} is the label of schedulers[{first}] already: "
                "give each a name: of its own, or set nested: true"
            )
            yield Problem(("schedulers", index, "name" if spec.name else "kind"), message)


def _nesting(system: System) -> Iterator[Problem]:
    outer = [spec.label for spec in system.schedulers if not spec.nested]
    for index, spec in enumerate(system.schedulers):
        key: Key = ("schedulers", index)
        if not spec.nested:
            for field in ("within", "start"):
                if getattr(spec, field):
                    yield Problem((*key, field), "only a nested scheduler has this key: add nested: true, or remove it")
            continue
        if spec.within is not None and spec.within not in outer:
            hint = nearest(spec.within, outer) if outer else "no outer scheduler is listed"
            yield Problem((*key, "within"), f"{spec.within!r} is not the label of an outer scheduler; {hint}")
        elif not outer:
            yield Problem((*key, "nested"), "no outer scheduler is listed that this one could run in")
        for place, argument in enumerate(spec.start):
            unknown = [name for name in re.findall(r"\{(\w*)\}", argument) if name not in PLACEHOLDERS]
            if unknown:
                message = f"{{{unknown[0]}}} is not a placeholder; known here: {', '.join(PLACEHOLDERS)}"
                yield Problem((*key, "start", place), message)


def _account(spec: SchedulerSpec, key: Key) -> Iterator[Problem]:
    """Yield directives and launcher flags that hold an account, repeat the prefix or have several lines."""
    flag = re.compile(ACCOUNT_FLAGS.get(spec.kind, r"--account(=|\s|$)"))
    options = [((*key, "directives", index), text) for index, text in enumerate(spec.directives)]
    for index, launcher in enumerate(spec.launchers):
        options += [((*key, "launchers", index, "flags", place), text) for place, text in enumerate(launcher.flags)]
    for where, text in options:
        if flag.match(text):
            twice = f"the account is given twice, since account_env is {spec.account_env}; " if spec.account_env else ""
            message = f"{twice}accounts are never in the file: remove it and use account_env alone"
            yield Problem(where, message)
        elif text.startswith(PREFIXES):
            yield Problem(where, f"remove {text.split()[0]}: the prefix is added automatically")
        elif "\n" in text:
            yield Problem(where, "an entry is one line: write several entries")


def _deployment(system: System) -> Iterator[Problem]:
    several = isinstance(system.deployment, list)
    named: list[tuple[Key, str]] = [
        (("deployment", place) if several else ("deployment",), text) for place, text in enumerate(system.deployments)
    ]
    optional: list[tuple[Key, str]] = [
        (("deployment_if_installed", place), text) for place, text in enumerate(system.deployment_if_installed)
    ]
    if system.deployment == []:
        yield Problem(("deployment",), "the list is empty: name a deployment, or remove the key")
    known = sorted({*DEPLOYMENTS, *_registered("exaworks.deployments")})
    before: set[str] = set()
    for key, text in [*named, *optional]:
        kind, colon, rest = text.partition(":")
        if kind not in known:
            yield Problem(key, f"{kind!r} is not a kind of deployment; {nearest(kind, known)}")
        elif kind == "path" and colon:
            yield Problem(key, "'path' takes no name after a colon: it means the software on PATH")
        elif kind in DEPLOYMENTS and not rest.strip() and (colon or kind not in BARE_DEPLOYMENTS):
            yield Problem(key, f"{kind!r} needs a name: write {kind}:NAME")
        elif text in before:
            yield Problem(key, f"{text!r} is named twice: remove one of them")
        before.add(text)
    for key, text in optional:
        if text != "spack" and not re.fullmatch(r"(spack|venv):[/~].*", text):
            yield Problem(
                key,
                f"whether {text!r} is installed cannot be found out without its activation: write spack, spack:/FOLDER "
                "or venv:/FOLDER here, or name it under deployment, where it must be installed",
            )


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
            yield Problem(key, "user names and passwords are never in the file: remove them")
    if system.collector.embedded and system.collector.url:
        yield Problem(("collector", "embedded"), "give either an embedded collector or the url of another, not both")


def _waivers(system: System, today: datetime.date | None) -> Iterator[Problem]:
    for index, waiver in enumerate(system.waivers):
        key: Key = ("waivers", index, "expires")
        try:
            expires = datetime.date.fromisoformat(waiver.expires)
        except ValueError:
            yield Problem(key, f"{waiver.expires} is not a calendar date")
            continue
        if today is not None and expires < today:
            message = f"the waiver for {waiver.cases!r} expired on {expires}: remove it, or check it and extend it"
            yield Problem(key, message)


def _references(system: System) -> Iterator[Problem]:
    """Yield references that repeat a pattern and metric: only the first of them would count."""
    known: set[tuple[str, str]] = set()
    for index, reference in enumerate(system.references):
        figure = (reference.cases, reference.metric)
        if figure in known:
            message = f"{reference.metric!r} of {reference.cases!r} is listed twice: keep one"
            yield Problem(("references", index, "metric"), message)
        known.add(figure)


def _spelling(component: str) -> str:
    """Return a component's name as entry points write it, without dots and underscores, to compare names."""
    return re.sub(r"[-_.]", "-", component)


@functools.cache
def _registered(group: str) -> frozenset[str]:
    """Return the names that installed packages have registered; imports none, but reads every distribution once."""
    return frozenset(point.name for point in entry_points(group=group))
