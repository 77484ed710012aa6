"""Compare one scheduler of a site file with the scheduler that answers on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace

from site_configs.document import Key
from site_configs.findings import Findings
from site_configs.probes import SCHEDULERS, ObservedQueue, ObservedScheduler, slurm
from site_configs.probes.observed import UNLIMITED
from site_configs.schema import Queue, SchedulerSpec, System, seconds
from site_configs.values import Dialect


def compare(system: System, spec: SchedulerSpec, key: Key, env: Mapping[str, str], findings: Findings) -> None:
    """Compare one scheduler, with its queues, launchers and account."""
    if spec.nested:
        _programs(spec, key, env, findings, missing="unchecked")
        return
    probe = SCHEDULERS.get(spec.kind)
    if probe is None:
        findings.skip(key, f"there is no probe for {spec.kind}")
        return
    observed = probe(env)
    if isinstance(observed, str):
        findings.differ((*key, "kind"), spec.kind, observed)
        return
    findings.ok()
    if spec.version_family and observed.version:
        fits = observed.version == spec.version_family or observed.version.startswith(spec.version_family + ".")
        findings.ok() if fits else findings.differ((*key, "version_family"), spec.version_family, observed.version)
    if spec.dialect is not None:
        _dialect(spec.dialect, observed, key, findings)
    qualities = slurm.qos(env) if any(queue.qos for queue in spec.queues) else {}
    for index, queue in enumerate(spec.queues):
        _queue(queue, observed, qualities, (*key, "queues", index), findings)
    _nodes(system, spec, observed, findings)
    _programs(spec, key, env, findings, missing="differs")
    _account(spec, key, env, findings)


def _dialect(dialect: Dialect, observed: ObservedScheduler, key: Key, findings: Findings) -> None:
    if observed.dialect is None:
        findings.skip((*key, "dialect"), "bjobs did not answer")
    elif observed.dialect is dialect:
        findings.ok()
    else:
        findings.differ((*key, "dialect"), dialect.value, observed.dialect.value)


def _queue(
    queue: Queue, observed: ObservedScheduler, qualities: dict[str, slurm.Qos] | str, key: Key, findings: Findings
) -> None:
    partition, quality = queue.partition_and_qos
    match = next((known for known in observed.queues if known.name == partition), None)
    if partition is not None:
        if match is None:
            known = ", ".join(sorted(entry.name for entry in observed.queues)) or "none"
            message = f"does not exist; known here: {known}"
            findings.differ((*key, "partition" if queue.partition else "name"), partition, message)
            return
        findings.ok()
        if not match.up:
            findings.note((*key, "name"), partition, "does not accept jobs at the moment")
        _limits(replace(match, nodes=match.nodes or observed.nodes), queue, key, findings, quality is not None)
    if quality is None:
        return
    if isinstance(qualities, str):
        findings.skip((*key, "qos"), qualities)
    elif quality not in qualities:
        known = ", ".join(sorted(qualities)) or "none"
        findings.differ((*key, "qos"), quality, f"does not exist; known here: {known}")
    else:
        findings.ok()
        qos = qualities[quality]
        limits = ObservedQueue(
            name=quality,
            max_walltime=qos.max_walltime,
            max_nodes=qos.max_nodes,
            max_running=qos.max_running,
            max_queued=qos.max_queued,
        )
        _limits(limits, queue, key, findings, True)


def _limits(observed: ObservedQueue, queue: Queue, key: Key, findings: Findings, also_qos: bool) -> None:
    """Compare the limits of a queue.

    If a QOS or the size of a job narrows them as well, the file may have lower limits than the queue itself: then only
    a limit below the file's is a difference.
    """
    narrowed = also_qos or bool(queue.steps)
    if queue.max_walltime:
        in_file = seconds(queue.max_walltime)
        if observed.max_walltime == UNLIMITED:
            _wider(findings, (*key, "max_walltime"), queue.max_walltime, "no limit", narrowed)
        elif observed.max_walltime is None:
            findings.skip((*key, "max_walltime"), f"the scheduler reports no limit for {observed.name}")
        elif seconds(observed.max_walltime) < in_file:
            findings.differ((*key, "max_walltime"), queue.max_walltime, observed.max_walltime)
        elif seconds(observed.max_walltime) > in_file:
            _wider(findings, (*key, "max_walltime"), queue.max_walltime, observed.max_walltime, narrowed)
        else:
            findings.ok()
    if queue.max_nodes is not None:
        configured, widest = observed.max_nodes, observed.widest
        if widest is None:
            findings.skip((*key, "max_nodes"), f"the scheduler reports no limit for {observed.name}")
        elif widest < queue.max_nodes:
            findings.differ((*key, "max_nodes"), queue.max_nodes, str(widest))
        elif configured is not None and widest > queue.max_nodes:
            _wider(findings, (*key, "max_nodes"), queue.max_nodes, str(widest), narrowed)
        else:
            findings.ok()
    for field_name in ("max_running", "max_queued"):
        file_count, machine_count = getattr(queue, field_name), getattr(observed, field_name)
        if file_count is None or machine_count is None:
            continue
        if machine_count < file_count:
            findings.differ((*key, field_name), file_count, str(machine_count))
        elif machine_count > file_count:
            _wider(findings, (*key, field_name), file_count, str(machine_count), narrowed)
        else:
            findings.ok()
    smallest = observed.min_nodes or 1
    if smallest != queue.min_nodes and observed.min_nodes is not None:
        (findings.differ if smallest > queue.min_nodes else findings.note)(
            (*key, "min_nodes"), queue.min_nodes, str(smallest)
        )
    if observed.min_walltime is not None:
        least = seconds(queue.min_walltime or "00:00:00")
        if seconds(observed.min_walltime) > least:
            findings.differ((*key, "min_walltime"), queue.min_walltime or "none", observed.min_walltime)
        elif seconds(observed.min_walltime) < least:
            findings.note((*key, "min_walltime"), queue.min_walltime, observed.min_walltime)


def _wider(findings: Findings, key: Key, file: object, machine: str, narrowed: bool) -> None:
    if narrowed:
        findings.ok()
    else:
        findings.note(key, file, machine)


def _nodes(system: System, spec: SchedulerSpec, observed: ObservedScheduler, findings: Findings) -> None:
    node = system.node
    if node.count is not None:
        if observed.nodes is None:
            findings.skip(("node", "count"), f"{observed.command} does not count nodes")
        elif observed.nodes != node.count:
            findings.differ(("node", "count"), node.count, str(observed.nodes))
        else:
            findings.ok()
    default = spec.queue(None)
    partition = default.partition_and_qos[0] if default is not None else None
    cores = next((queue.cores for queue in observed.queues if queue.name == partition), None)
    if node.cores is None:
        return
    if cores is None:
        findings.skip(("node", "cores"), f"{observed.command} does not show them for the default queue")
    elif cores in (node.cores, node.cores * node.threads_per_core):
        findings.ok()
    else:
        findings.differ(("node", "cores"), node.cores, f"{cores} in a node of the default queue")


def _programs(spec: SchedulerSpec, key: Key, env: Mapping[str, str], findings: Findings, missing: str) -> None:
    for index, launcher in enumerate(spec.launchers):
        where: Key = (*key, "launchers", index, "name")
        if shutil.which(launcher.name, path=env.get("PATH")):
            findings.ok()
        elif missing == "differs":
            findings.differ(where, launcher.name, "not on PATH")
        else:
            findings.skip(where, f"{launcher.name} is not on PATH here; the modules {spec.modules} may provide it")


def _account(spec: SchedulerSpec, key: Key, env: Mapping[str, str], findings: Findings) -> None:
    if spec.account_env is None:
        return
    where: Key = (*key, "account_env")
    account, default = env.get(spec.account_env), spec.queue(None)
    if not account:
        findings.skip(where, f"${spec.account_env} is not set")
    elif spec.kind != "slurm":
        findings.skip(where, f"{spec.kind} cannot check an account without submitting a job")
    else:
        partition, quality = default.partition_and_qos if default is not None else (None, None)
        nodes = max(spec.default_nodes, default.min_nodes if default is not None else 1)
        options = [word for line in spec.directives for word in line.split()]
        refused, message = slurm.account_refused(account, partition, quality, nodes, options, env)
        if refused:
            findings.differ(where, f"${spec.account_env}", f"refused: {(message or '').replace(account, '***')}")
        elif message:
            findings.skip(where, message.replace(account, "***"))
        else:
            findings.ok()
