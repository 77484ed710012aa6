"""The environment of a run, collected from its records: the facts that could explain a change of outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dashboard_client.schema import Component, Record, Software
from sdk_tests.report.view import View


@dataclass(frozen=True)
class Environment:
    """Distinct values of all records, in the order of their first occurrence; empty if no record contains one."""

    deployments: dict[str, list[Component]]
    schedulers: list[Software]
    launchers: list[Software]
    mpi: list[str]
    python: list[str]
    modules: list[str]
    nodes: list[str]
    queues: list[str]
    architectures: list[str]
    gpus: list[str]
    spack: list[str]
    runners: list[str]


def environment(run: View) -> Environment:
    """Collect the environment of a run; if records differ, every value is listed once."""
    records = run.records()
    deployments: dict[str, list[Component]] = {deployment.name: [] for deployment in run.manifest.deployments}
    for record in records:
        if record.stack.deployment:
            known = deployments.setdefault(record.stack.deployment.name, [])
            known.extend(component for component in record.stack.components if component not in known)
    return Environment(
        deployments={name: sorted(parts, key=lambda part: part.name) for name, parts in deployments.items()},
        schedulers=_software((record.scheduler.outer, record.scheduler.nested) for record in records),
        launchers=_software((record.scheduler.launcher,) for record in records),
        mpi=_distinct(record.stack.mpi for record in records),
        python=_distinct(record.stack.python for record in records),
        modules=_distinct(module for record in records for module in record.stack.modules),
        nodes=_distinct(node for record in records for node in record.context.nodes),
        queues=_distinct(record.context.queue for record in records),
        architectures=_distinct(record.context.architecture for record in records),
        gpus=_distinct(record.context.gpu for record in records),
        spack=_distinct(_commits(record) for record in records),
        runners=_distinct(record.context.runner for record in records),
    )


def named(software: Software) -> str:
    """Return the name of a scheduler or launcher with its version, if known, and a mark if it is emulated."""
    text = f"{software.name} {software.version}" if software.version else software.name
    return f"{text} (emulated)" if software.emulated else text


def _commits(record: Record) -> str | None:
    parts = (("spack", record.stack.spack_commit), ("packages", record.stack.packages_commit))
    return ", ".join(f"{name} {commit[:12]}" for name, commit in parts if commit) or None


def _distinct(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _software(groups: Iterable[tuple[Software | None, ...]]) -> list[Software]:
    return list({(part.name, part.version, part.emulated): part for group in groups for part in group if part}.values())
