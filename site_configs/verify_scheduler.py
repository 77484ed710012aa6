"""Compare one scheduler's entry of a site file with the scheduler that answers here."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace

from site_configs.document import Key
from site_configs.findings import Findings
from site_configs.probes import SCHEDULERS, SeenQueue, SeenScheduler, slurm
from site_configs.probes.seen import UNLIMITED
from site_configs.schema import Queue, SchedulerSpec, System, seconds


def compare(system: System, spec: SchedulerSpec, key: Key, env: Mapping[str, str], findings: Findings) -> None:
    """Compare one scheduler's entry, its queues, launchers and account included."""
    if spec.nested:
        _programs(spec, key, env, findings, missing="unchecked")
        return
    look = SCHEDULERS.get(spec.kind)
    if look is None:
        findings.skip(key, f"no way to ask {spec.kind}")
        return
    seen = look(env)
    if isinstance(seen, str):
        findings.differ((*key, "kind"), spec.kind, seen)
        return
    findings.ok()
    if spec.version_family and seen.version:
        fits = seen.version == spec.version_family or seen.version.startswith(spec.version_family + ".")
        findings.ok() if fits else findings.differ((*key, "version_family"), spec.version_family, seen.version)
    qualities = slurm.qos(env) if any(queue.qos for queue in spec.queues) else {}
    for index, queue in enumerate(spec.queues):
        _queue(queue, seen, qualities, (*key, "queues", index), findings)
    _nodes(system, spec, seen, findings)
    _programs(spec, key, env, findings, missing="differs")
    _account(spec, key, env, findings)


def _queue(
    queue: Queue, seen: SeenScheduler, qualities: dict[str, slurm.Qos] | str, key: Key, findings: Findings
) -> None:
    partition, quality = queue.asks
    found = next((known for known in seen.queues if known.name == partition), None)
    if partition is not None:
        if found is None:
            known = ", ".join(sorted(entry.name for entry in seen.queues)) or "none"
            findings.differ((*key, "partition" if queue.partition else "name"), partition, f"gone; there are: {known}")
            return
        findings.ok()
        if not found.up:
            findings.note((*key, "name"), partition, "does not take jobs at the moment")
        _limits(replace(found, nodes=found.nodes or seen.nodes), queue, key, findings, quality is not None)
    if quality is None:
        return
    if isinstance(qualities, str):
        findings.skip((*key, "qos"), qualities)
    elif quality not in qualities:
        findings.differ((*key, "qos"), quality, f"gone; there are: {', '.join(sorted(qualities)) or 'none'}")
    else:
        findings.ok()
        said = qualities[quality]
        limits = SeenQueue(
            name=quality,
            max_walltime=said.max_walltime,
            max_nodes=said.max_nodes,
            max_running=said.max_running,
            max_queued=said.max_queued,
        )
        _limits(limits, queue, key, findings, True)


def _limits(seen: SeenQueue, queue: Queue, key: Key, findings: Findings, also_qos: bool) -> None:
    """Compare limits; where something else narrows them as well, only one below the file's can be told to be wrong."""
    narrowed = also_qos or bool(queue.steps)
    if queue.max_walltime:
        ours = seconds(queue.max_walltime)
        if seen.max_walltime == UNLIMITED:
            _wider(findings, (*key, "max_walltime"), queue.max_walltime, "no limit", narrowed)
        elif seen.max_walltime is None:
            findings.skip((*key, "max_walltime"), f"the scheduler names no limit of {seen.name}")
        elif seconds(seen.max_walltime) < ours:
            findings.differ((*key, "max_walltime"), queue.max_walltime, seen.max_walltime)
        elif seconds(seen.max_walltime) > ours:
            _wider(findings, (*key, "max_walltime"), queue.max_walltime, seen.max_walltime, narrowed)
        else:
            findings.ok()
    if queue.max_nodes is not None:
        configured, there = seen.max_nodes, seen.widest
        if there is None:
            findings.skip((*key, "max_nodes"), f"the scheduler names no limit of {seen.name}")
        elif there < queue.max_nodes:
            findings.differ((*key, "max_nodes"), queue.max_nodes, str(there))
        elif configured is not None and there > queue.max_nodes:
            _wider(findings, (*key, "max_nodes"), queue.max_nodes, str(there), narrowed)
        else:
            findings.ok()
    for field_name in ("max_running", "max_queued"):
        ours_count, theirs = getattr(queue, field_name), getattr(seen, field_name)
        if ours_count is None or theirs is None:
            continue
        if theirs < ours_count:
            findings.differ((*key, field_name), ours_count, str(theirs))
        elif theirs > ours_count:
            _wider(findings, (*key, field_name), ours_count, str(theirs), narrowed)
        else:
            findings.ok()
    smallest = seen.min_nodes or 1
    if smallest != queue.min_nodes and seen.min_nodes is not None:
        (findings.differ if smallest > queue.min_nodes else findings.note)(
            (*key, "min_nodes"), queue.min_nodes, str(smallest)
        )
    if seen.min_walltime is not None:
        least = seconds(queue.min_walltime or "00:00:00")
        if seconds(seen.min_walltime) > least:
            findings.differ((*key, "min_walltime"), queue.min_walltime or "none", seen.min_walltime)
        elif seconds(seen.min_walltime) < least:
            findings.note((*key, "min_walltime"), queue.min_walltime, seen.min_walltime)


def _wider(findings: Findings, key: Key, file: object, machine: str, narrowed: bool) -> None:
    if narrowed:
        findings.ok()
    else:
        findings.note(key, file, machine)


def _nodes(system: System, spec: SchedulerSpec, seen: SeenScheduler, findings: Findings) -> None:
    node = system.node
    if node.count is not None:
        if seen.nodes is None:
            findings.skip(("node", "count"), f"{seen.asked} does not count nodes")
        elif seen.nodes != node.count:
            findings.differ(("node", "count"), node.count, str(seen.nodes))
        else:
            findings.ok()
    default = spec.queue(None)
    partition = default.asks[0] if default is not None else None
    cores = next((queue.cores for queue in seen.queues if queue.name == partition), None)
    if node.cores is None:
        return
    if cores is None:
        findings.skip(("node", "cores"), f"{seen.asked} does not show them for the default queue")
    elif cores in (node.cores, node.cores * node.threads_per_core):
        findings.ok()
    else:
        findings.differ(("node", "cores"), node.cores, f"{cores} in the default queue's nodes")


def _programs(spec: SchedulerSpec, key: Key, env: Mapping[str, str], findings: Findings, missing: str) -> None:
    for index, launcher in enumerate(spec.launchers):
        where: Key = (*key, "launchers", index, "name")
        if shutil.which(launcher.name, path=env.get("PATH")):
            findings.ok()
        elif missing == "differs":
            findings.differ(where, launcher.name, "not on PATH")
        else:
            findings.skip(where, f"{launcher.name} is not on PATH here; the modules {spec.modules} may bring it")


def _account(spec: SchedulerSpec, key: Key, env: Mapping[str, str], findings: Findings) -> None:
    if spec.account_env is None:
        return
    where: Key = (*key, "account_env")
    account, default = env.get(spec.account_env), spec.queue(None)
    if not account:
        findings.skip(where, f"${spec.account_env} is not set")
    elif spec.kind != "slurm":
        findings.skip(where, f"{spec.kind} cannot be asked without submitting a job")
    else:
        partition, quality = default.asks if default is not None else (None, None)
        nodes = max(spec.default_nodes, default.min_nodes if default is not None else 1)
        words = [word for line in spec.directives for word in line.split()]
        refused, said = slurm.refused(account, partition, quality, nodes, words, env)
        if refused:
            findings.differ(where, f"${spec.account_env}", f"refused: {(said or '').replace(account, '***')}")
        elif said:
            findings.skip(where, said.replace(account, "***"))
        else:
            findings.ok()
