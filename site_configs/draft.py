"""Write the draft of a site file from the facts about a machine; unknown values are comments in the draft."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from site_configs.load import load_text
from site_configs.probes.observed import UNLIMITED, ObservedQueue, ObservedScheduler, family
from site_configs.survey import Facts

NOT_REPORTED = {
    "slurm": "qos, min_walltime, max_running, max_queued: sinfo does not show them",
    "flux": "max_running, max_queued: flux queue list does not show them",
    "pbs": "steps: limits by job size, qstat does not show them",
    "lsf": "max_nodes, max_running, max_queued: bqueues counts job slots, not nodes",
}
"""The keys of a queue that a scheduler's commands do not report, as a comment for the draft."""
DIRECTIVES = {
    "slurm": "[--constraint=...]",
    "flux": "[--setattr=...]",
    "pbs": "['-l filesystems=...']",
    "lsf": "['-alloc_flags ...']",
}
GENERIC_HOSTS = ("localhost", "login", "node", "host", "head", "master", "nid")


def draft(facts: Facts, name: str | None = None) -> str:
    """Return the text of a site file that loads without errors.

    Raises:
        SiteFileError: ``name`` is not of the form SITE/SYSTEM.
    """
    text = "\n".join(_lines(facts, name or suggested_name(facts))) + "\n"
    load_text(text, "draft")
    return text


def suggested_name(facts: Facts) -> str:
    """Return a SITE/SYSTEM guessed from the variables that name the machine and from its host name."""
    labels = facts.hostname.lower().split(".")
    site = labels[-2] if len(labels) > 2 else "my-site"
    stem = re.sub(r"[-_]?\d+$", "", labels[0])
    system = next(iter(facts.variables.values()), stem or labels[0])
    return f"{_plain(site)}/{_plain(system)}"


def _plain(text: str) -> str:
    """Replace the characters that the name of a system must not have."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_") or "unnamed"


def _lines(facts: Facts, name: str) -> Iterator[str]:
    yield "# A draft from the facts about this machine. Check every line; `exaworks sites schema` prints all keys."
    yield "# Accounts, tokens and passwords are never in a site file: a key that ends in _env names a variable instead."
    yield f"system: {_scalar(name)}"
    yield f"description: {_scalar('The name that users know, and the place of the machine')}"
    yield "# owner: who is responsible for results of this machine"
    yield ""
    yield from _detect(facts)
    yield ""
    batch = bool(facts.schedulers)
    yield "local:"
    yield f"  allowed: {'false' if batch else 'true'}" + ("   # login nodes are shared; true: plan cases here" * batch)
    yield f"  cores: {2 if batch else 0}" + ("" if batch else "          # 0: all of them")
    yield ""
    if batch:
        yield "schedulers:"
        for scheduler in facts.schedulers:
            yield from _scheduler(scheduler)
    else:
        yield "schedulers: []"
    yield from (f"# {kind}: {_comment(reason)}" for kind, reason in facts.absent.items())
    yield ""
    yield from _node(facts)
    yield ""
    if facts.module_system:
        yield "modules:"
        yield f"  system: {facts.module_system}"
        yield f"  load: []          # loaded when this was written: {_comment(', '.join(facts.loaded)) or 'nothing'}"
    else:
        yield "# modules: no module system was found (neither LMOD_CMD nor MODULES_CMD is set)"
    yield ""
    yield "# deployment: what is tested without --deployment: spack:ENV, module:NAME, venv:DIR, release"
    yield "# promises: [parsl, psij]      # components that are deployed here: a missing one is a failure"
    yield "# work_dir: $SCRATCH           # a folder that all nodes share"
    yield "limits:"
    yield "  queue_wait: 01:00:00"
    yield "  # node_hours: 10             # at most, in one run"
    yield "collector:"
    yield "  embedded: true               # or url: and token_env:"


def _detect(facts: Facts) -> Iterator[str]:
    first, dot, domain = facts.hostname.partition(".")
    stem = re.sub(r"\d+$", "", first)
    pattern = (f"{stem}*" if stem and stem != first else first) + dot + domain
    generic = not dot and stem.lower().strip("-_") in GENERIC_HOSTS
    if facts.variables:
        yield "detect:"
        yield "  environment:"
        for variable, value in facts.variables.items():
            yield f"    {variable}: {_scalar(value)}"
        yield f"  # hosts: [{_comment(_scalar(pattern))}]   # in addition, if the variables are not enough"
    elif generic or not facts.hostname:
        yield f"# detect: the host name {_comment(facts.hostname)!r} is not unique. Use --site, or add"
        yield "#   environment: {SOME_VARIABLE: value}"
    else:
        yield "detect:"
        yield f"  hosts: [{_scalar(pattern)}]"


def _scheduler(observed: ObservedScheduler) -> Iterator[str]:
    default = next((queue for queue in observed.queues if queue.default), next(iter(observed.queues), None))
    wide = next((queue for queue in observed.queues if queue.up and (queue.widest or 1) > 1), None)
    yield f"  - kind: {observed.kind}"
    if family(observed.version):
        yield f'    version_family: "{family(observed.version)}"'
    if observed.dialect is not None:
        yield f"    dialect: {observed.dialect.value}"
    if default is None:
        yield "    # queues: it has no named queues"
    else:
        yield "    queues:"
        for queue in observed.queues:
            yield from _queue(queue, observed)
        yield f"    default_queue: {_scalar(default.name)}"
        if wide is not None and not (default.up and (default.widest or 2) > 1):
            yield f"    multi_node_queue: {_scalar(wide.name)}"
        if default.min_nodes and default.min_nodes > 1:
            yield f"    default_nodes: {default.min_nodes}"
    yield "    # account_env: NAME_OF_A_VARIABLE   # the variable that holds the account to charge"
    yield f"    # directives: {DIRECTIVES[observed.kind]}    # lines that every job needs"
    if observed.launchers:
        yield "    launchers:"
        for name in observed.launchers:
            yield f"      - name: {name}"
            if name == "mpiexec":
                yield "        # kind: pals      # if it is the mpiexec of HPE's PALS"
    else:
        yield "    # launchers: no launcher of this scheduler was on PATH"
    yield "    max_jobs: 1           # in the queue at once; raise it to the limit of one user"
    yield "    status_interval: 10   # seconds between two status queries"
    if observed.queues and all(queue.exclusive for queue in observed.queues):
        yield "    exclusive: true"


def _queue(queue: ObservedQueue, observed: ObservedScheduler) -> Iterator[str]:
    yield f"      - name: {_scalar(queue.name)}" + ("" if queue.up else "   # not up when this was written")
    if queue.routes:
        yield f"        # routes to {_comment(', '.join(queue.routes))}"
    widest = queue.widest
    if queue.min_nodes and queue.min_nodes > 1:
        yield f"        min_nodes: {queue.min_nodes}"
    if widest:
        comment = "" if queue.max_nodes == widest else "   # all nodes of the queue; no lower limit is configured"
        yield f"        max_nodes: {widest}{comment}"
    elif observed.nodes:
        yield f"        max_nodes: {observed.nodes}   # all nodes of the machine; no lower limit is configured"
    if queue.min_walltime and queue.min_walltime != "00:00:00":
        yield f"        min_walltime: {queue.min_walltime}"
    if queue.max_walltime and queue.max_walltime not in (UNLIMITED, "00:00:00"):
        yield f"        max_walltime: {queue.max_walltime}"
    else:
        yield "        # max_walltime: none is configured"
    if queue.max_running:
        yield f"        max_running: {queue.max_running}"
    if queue.max_queued:
        yield f"        max_queued: {queue.max_queued}"
    yield f"        # {NOT_REPORTED[observed.kind]}"


def _node(facts: Facts) -> Iterator[str]:
    queues = [(observed, queue) for observed in facts.schedulers for queue in observed.queues]
    default = next((pair for pair in queues if pair[1].default), queues[0] if queues else None)
    yield "node:"
    yield f"  architecture: {_scalar(facts.architecture)}"
    if default is None:
        yield f"  cores: {facts.cores}" + ("          # of this node" * bool(facts.schedulers))
        return
    observed, queue = default
    count = max(scheduler.nodes or 0 for scheduler in facts.schedulers)
    if count:
        yield f"  count: {count}"
    if queue.cores:
        slurm = observed.kind == "slurm"
        comment = "          # CPUs of a node as Slurm counts them, hardware threads included" * slurm
        yield f"  cores: {queue.cores}{comment}"
    else:
        yield f"  # cores: {observed.command} does not show them; this node has {facts.cores}"
    if queue.memory_gb:
        yield f"  memory_gb: {queue.memory_gb}"
    if queue.gres:
        yield f"  # gpus: Slurm reports {_comment(queue.gres)}"
    yield "  # usable_cores: the cores that core specialisation leaves to jobs"


def _scalar(text: str) -> str:
    """Return text as a YAML scalar that is read back as the same text."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in ("true", "false", "null"):
        return text
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    """Replace characters that cannot be printed, so that a comment stays on its line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
