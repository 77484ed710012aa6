"""Write the draft of a site file from what was found on the machine; what was not found stays a comment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from site_configs.load import load_text
from site_configs.survey import Facts, Partition

GENERIC_HOSTS = ("localhost", "login", "node", "host", "head", "master", "nid")


def draft(facts: Facts, name: str | None = None) -> str:
    """Return the text of a site file that loads.

    Raises:
        SiteFileError: ``name`` is not SITE/SYSTEM.
    """
    text = "\n".join(_lines(facts, name or suggested_name(facts))) + "\n"
    load_text(text, "draft")
    return text


def suggested_name(facts: Facts) -> str:
    """Guess SITE/SYSTEM from the variables that name the machine and its host name."""
    labels = facts.hostname.lower().split(".")
    site = labels[-2] if len(labels) > 2 else "my-site"
    stem = re.sub(r"[-_]?\d+$", "", labels[0])
    system = next(iter(facts.variables.values()), stem or labels[0])
    return f"{_plain(site)}/{_plain(system)}"


def _plain(text: str) -> str:
    """Keep what a system's name may hold."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_") or "unnamed"


def _lines(facts: Facts, name: str) -> Iterator[str]:
    yield "# A draft, from what could be seen on the machine. Read every line; `exaworks sites schema` has all keys."
    yield "# Accounts, tokens and passwords never go into a site file: a key that ends in _env names the variable."
    yield f"system: {_scalar(name)}"
    yield f"description: {_scalar('What users call this machine, and where it stands')}"
    yield "# owner: who answers for results of this machine"
    yield ""
    yield from _detect(facts)
    yield ""
    batch = bool(facts.partitions)
    yield "local:"
    yield f"  allowed: {'false' if batch else 'true'}" + ("   # login nodes are shared; true plans cases here" * batch)
    yield f"  cores: {2 if batch else 0}" + ("" if batch else "          # 0: all of them")
    yield ""
    yield from (_schedulers(facts) if batch else [f"schedulers: []      # {facts.no_slurm}"])
    yield ""
    yield from _node(facts)
    yield ""
    if facts.module_system:
        yield "modules:"
        yield f"  system: {facts.module_system}"
        yield f"  load: []          # loaded when this was written: {_comment(', '.join(facts.loaded)) or 'nothing'}"
    else:
        yield "# modules: no module system was seen (neither LMOD_CMD nor MODULES_CMD is set)"
    yield ""
    yield "# deployment: what is tested when --deployment says nothing: spack:ENV, module:NAME, venv:DIR, release"
    yield "# promises: [parsl, psij]      # components that are deployed here: one that is absent fails"
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
        yield f"  # hosts: [{_comment(_scalar(pattern))}]   # as well, if the variables are not enough"
    elif generic or not facts.hostname:
        yield f"# detect: the host name {_comment(facts.hostname)!r} says too little; choose with --site, or give"
        yield "#   environment: {SOME_VARIABLE: value}"
    else:
        yield "detect:"
        yield f"  hosts: [{_scalar(pattern)}]"


def _schedulers(facts: Facts) -> Iterator[str]:
    default = next((p for p in facts.partitions if p.default), facts.partitions[0])
    wide = next((p for p in (default, *facts.partitions) if p.up and _widest(p) > 1), None)
    yield "schedulers:"
    yield "  - kind: slurm"
    if facts.slurm_version:
        yield f'    version_family: "{facts.slurm_version}"'
    yield "    queues:"
    for partition in facts.partitions:
        yield from _queue(partition)
    yield f"    default_queue: {_scalar(default.name)}"
    if wide is not None and wide is not default:
        yield f"    multi_node_queue: {_scalar(wide.name)}"
    yield "    # account_env: NAME_OF_A_VARIABLE   # that holds the account to charge"
    yield "    # directives: [--constraint=...]    # lines every job needs"
    if facts.launchers:
        yield "    launchers:"
        yield from (f"      - name: {name}" for name in facts.launchers)
    else:
        yield "    # launchers: srun was not on PATH"
    yield "    max_jobs: 1           # in the queue at once; raise it to what one user may have"
    yield "    status_interval: 10   # seconds between two questions to the scheduler"
    if all(partition.exclusive for partition in facts.partitions):
        yield "    exclusive: true"


def _queue(partition: Partition) -> Iterator[str]:
    yield f"      - name: {_scalar(partition.name)}" + ("" if partition.up else "   # not up when this was written")
    widest = _widest(partition)
    if widest:
        how = "" if partition.max_nodes == widest else "   # as many as it has; no lower limit is configured"
        yield f"        max_nodes: {widest}{how}"
    if partition.max_walltime and partition.max_walltime != "00:00:00":
        yield f"        max_walltime: {partition.max_walltime}"
    else:
        yield "        # max_walltime: none is configured"
    yield "        # qos, min_nodes, min_walltime, max_running, max_queued: sinfo does not show them"


def _widest(partition: Partition) -> int:
    """Return the nodes a job can get: the configured limit, or the partition's nodes where those are fewer."""
    return min(partition.max_nodes or partition.nodes, partition.nodes)


def _node(facts: Facts) -> Iterator[str]:
    default = next((p for p in facts.partitions if p.default), facts.partitions[0] if facts.partitions else None)
    yield "node:"
    yield f"  architecture: {_scalar(facts.architecture)}"
    if default is None:
        yield f"  cores: {facts.cores}"
        return
    if default.cores:
        yield f"  cores: {default.cores}          # CPUs of a node as Slurm counts them, hardware threads included"
    if default.memory_gb:
        yield f"  memory_gb: {default.memory_gb}"
    if default.gres:
        yield f"  # gpus: Slurm says {_comment(default.gres)}"
    yield "  # usable_cores: what core specialisation leaves"


def _scalar(text: str) -> str:
    """Write text so that YAML reads it back as that text."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in ("true", "false", "null"):
        return text
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    """Keep a comment on its line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
