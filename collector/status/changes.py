"""The differences between two records of a case: everything below the payload that could explain a new outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dashboard_client.schema import Component, Record, Software

Side = dict[str, str]


def differences(before: Record, after: Record) -> list[dict[str, Any]]:
    """Return every item that either record names, with both values and whether they differ; differences come first."""
    left, right = dict(_named(before)), dict(_named(after))
    both = [
        {"name": name, "before": left.get(name), "after": right.get(name), "changed": left.get(name) != right.get(name)}
        for name in [*left, *(name for name in right if name not in left)]
    ]
    return sorted(both, key=lambda each: not each["changed"])


def _named(record: Record) -> Iterator[tuple[str, str]]:
    stack, scheduler, context = record.stack, record.scheduler, record.context
    if stack.deployment is not None:
        yield "deployment", f"{stack.deployment.name} ({stack.deployment.kind}) {stack.deployment.digest[:16]}"
    for component in stack.components:
        yield f"component {component.name}", _component(component)
    for role in ("outer", "nested", "launcher"):
        software: Software | None = getattr(scheduler, role)
        if software is not None:
            yield {"outer": "scheduler", "nested": "nested scheduler"}.get(role, role), _software(software)
    plain = {
        "queue": context.queue,
        "Python": stack.python,
        "MPI": stack.mpi,
        "Spack commit": stack.spack_commit,
        "package repository commit": stack.packages_commit,
        "architecture": context.architecture,
        "GPU": context.gpu,
        "runner": context.runner,
        "harness": f"{context.harness.version} {context.harness.commit or ''}".strip(),
        "site file": context.harness.config_digest and context.harness.config_digest[:16],
    }
    yield from ((name, value) for name, value in plain.items() if value)
    for module in stack.modules:
        name, _, version = module.partition("/")
        yield f"module {name}", version or "loaded"
    yield "nodes", ", ".join(context.nodes) or "unknown"


def _component(component: Component) -> str:
    parts = [component.version or "absent", component.provider and f"by {component.provider}"]
    parts += [
        component.spec,
        component.dag_hash and f"/{component.dag_hash[:7]}",
        component.commit and component.commit[:12],
    ]
    return " ".join(part for part in parts if part)


def _software(software: Software) -> str:
    return f"{software.name} {software.version or '(version unknown)'}{' (emulated)' if software.emulated else ''}"
