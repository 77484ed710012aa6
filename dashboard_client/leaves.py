"""Every leaf of the schema and how redaction treats it. A field that is in no table here never leaves the machine.

A leaf is a dotted path from a record or manifest to a value that is neither a struct nor a list of structs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec


class Kind(enum.Enum):
    """What a leaf contains, which decides how it is masked."""

    IDENTITY = "identity"
    """Identifies the attempt. Masking would change the identity, so a secret in it is an error instead."""
    CLOSED = "closed"
    """A number, a time, a boolean, a digest or a term of a closed vocabulary: contains nothing to mask."""
    NAME = "name"
    """A public name or version. Secrets are masked; the user's name is not, since a component may have it too."""
    TEXT = "text"
    """Free text, also in a list or a tree: secrets, the home folder and the user's name are masked."""
    TAIL = "tail"
    """Free text that was cut to a length, so that part of a secret may be at either edge."""


class Leaf(msgspec.Struct, frozen=True):
    """``minimal`` is true if the ``minimal`` tier keeps the leaf; otherwise that tier empties it."""

    kind: Kind
    minimal: bool


def _table(keep: str, empty: str) -> dict[str, Leaf]:
    """Parse two tables of ``kind: leaf leaf …`` lines: the leaves that the minimal tier keeps, and those it empties."""
    leaves = {}
    for minimal, text in ((True, keep), (False, empty)):
        for line in text.strip().splitlines():
            kind, _, paths = line.partition(":")
            leaves.update({path: Leaf(Kind(kind.strip()), minimal) for path in paths.split()})
    return leaves


RECORD = _table(
    keep="""
        identity: record_id run_id case_id context.site context.system retries.supersedes
        closed: schema origin case.tier retries.attempt retries.final evidence.redaction
        closed: context.harness.dirty scheduler.outer.emulated scheduler.nested.emulated
        closed: timing.setup.seconds timing.queue_wait.seconds timing.launch.seconds
        closed: timing.run.seconds timing.collect.seconds timing.teardown.seconds
        closed: verdict.outcome verdict.cause.phase verdict.cause.cls metrics.value
        name: case.component case.partners context.trigger
        name: context.harness.version context.harness.commit context.harness.config_digest
        name: stack.components.name stack.components.version
        name: scheduler.outer.name scheduler.outer.version scheduler.nested.name scheduler.nested.version
        name: timing.submitted timing.started timing.ended
        name: timing.setup.source timing.queue_wait.source timing.launch.source
        name: timing.run.source timing.collect.source timing.teardown.source
        name: verdict.cause.rule diagnosis.cause_key diagnosis.blocked_by metrics.name metrics.unit metrics.better
    """,
    empty="""
        text: case.payload case.params context.queue context.nodes context.gpu context.runner context.harness.remote
        text: stack.components.location stack.components.spec stack.deployment.name stack.python stack.mpi stack.modules
        text: scheduler.native_state scheduler.native_reason scheduler.job_ids verdict.cause.evidence
        text: evidence.artifacts.name evidence.reproduce diagnosis.title diagnosis.advice extras
        text: diagnosis.source diagnosis.logs.component diagnosis.logs.path
        tail: evidence.output_tail diagnosis.expected diagnosis.got diagnosis.line diagnosis.answer diagnosis.logs.lines
        closed: diagnosis.logs.size
        name: context.architecture stack.components.provider stack.components.dag_hash stack.components.commit
        name: stack.deployment.kind stack.deployment.digest stack.spack_commit stack.packages_commit
        name: scheduler.launcher.name scheduler.launcher.version evidence.artifacts.digest
        closed: scheduler.launcher.emulated scheduler.exit_code scheduler.signal
    """,
)

MANIFEST = _table(
    keep="""
        identity: run_id site system planned.case_id
        closed: schema harness.dirty selection.tier selection.partial selection.nodes planned.tier redaction
        closed: closed.sequence closed.planned closed.recorded closed.missing closed.counts closed.exit_code
        name: started trigger harness.version harness.commit harness.config_digest release
        name: planned.component planned.partners planned.scheduler cadence stale_after time_limit
        name: waivers.cases waivers.expires closed.state closed.ended
    """,
    empty="""
        text: harness.remote selection.cases selection.components selection.schedulers
        text: deployments.name waivers.reason waivers.owner owner closed.leftover_jobs
        name: deployments.kind deployments.digest
    """,
)


def struct_of(annotation: Any) -> type[msgspec.Struct] | None:
    """Return the struct type of a field, also of an optional field or a list; None if the field is a leaf."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    if get_origin(annotation) in (Union, UnionType, list):
        structs = [inner for part in get_args(annotation) if (inner := struct_of(part)) is not None]
        return structs[0] if structs else None
    return None


@cache
def fields(model: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    """Return a struct's fields as name and type."""
    return tuple((field.name, field.type) for field in msgspec.structs.fields(model))


def enumerate_leaves(model: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every leaf of a model."""
    for name, annotation in fields(model):
        inner = struct_of(annotation)
        if inner is None:
            yield prefix + name
        else:
            yield from enumerate_leaves(inner, f"{prefix}{name}.")


def may_be_null(annotation: Any) -> bool:
    """Return whether null is a value of this type."""
    return NoneType in get_args(annotation)
