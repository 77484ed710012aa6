"""Schema version 2 of what a run reports: the manifest that opens it, its records, and the closing that ends it.

Version 2 adds ``diagnosis`` to a record. Records and manifests of version 1 are read unchanged: their canonical form,
and so their digest, is the one that was written. What this build writes has version 2.

The same models serve the harness, the upload, the published JSON Schema and the collector. Unknown keys are refused
everywhere except under ``extras``. Times are UTC in ISO 8601; durations are in seconds; an unknown value is null, never
zero.
"""

from __future__ import annotations

import enum
import hashlib
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import msgspec

SCHEMA_VERSION = 2
"""The version that this build writes."""
READABLE_VERSIONS = (1, 2)
"""The versions that this build reads; the collector accepts them side by side."""

S = TypeVar("S", bound=msgspec.Struct)


class Outcome(str, enum.Enum):
    """The outcome of one attempt at a case. The collector derives flaky, stale and missing; they are never uploaded."""

    PASS = "pass"  # noqa: S105
    """Every assertion on the payload's answer held."""
    FAIL = "fail"
    """An assertion failed, or something that was promised is missing or has another version."""
    ERROR = "error"
    """No verdict was reached, and no evidence shows that the site is at fault: unclassified, interrupted."""
    SKIP = "skip"
    """Something is absent that nobody promised; the reason names what was looked for, and where."""
    XFAIL = "xfail"
    """Failed as expected: because of a known upstream bug, or under a valid waiver."""
    XPASS = "xpass"
    """Passed although it is listed as a known failure: the list is out of date."""
    INFRA = "infra"
    """No verdict was reached, and positive evidence shows that the site or its scheduler is at fault."""


class CauseClass(str, enum.Enum):
    """Who is at fault when a case does not pass."""

    SITE = "site"
    """The machine or its configuration: a failed node, a full disk, a failed control case."""
    SCHEDULER = "scheduler"
    """The resource manager: it refused a job, did not answer, kept it waiting too long, or preempted it."""
    COMPONENT = "component"
    """The technology under test."""
    DISTRIBUTION = "distribution"
    """The packaging or deployment: a component is absent although promised, or not at the release's version."""
    HARNESS = "harness"
    """This project: a faulty payload or case, or a run that was interrupted."""
    UNKNOWN = "unknown"
    """Not enough evidence to blame anyone."""


class Phase(str, enum.Enum):
    """The phase of an attempt in which the cause of its outcome arose."""

    PROBE = "probe"
    PLAN = "plan"
    SUBMIT = "submit"
    QUEUE = "queue"
    LAUNCH = "launch"
    RUN = "run"
    COLLECT = "collect"
    JUDGE = "judge"
    TEARDOWN = "teardown"


class Origin(str, enum.Enum):
    """What produced the record: this harness, or an importer of another tool's results."""

    NATIVE = "native"
    JUNIT = "junit"
    PSIJ = "psij"
    E4S = "e4s"


CONTROL = "control"
"""The pseudo-component of control cases. Every scheduler has it, and its passes do not count as passes of the SDK."""


class Tier(str, enum.Enum):
    """How much of the matrix a selection includes; each tier includes the tiers before it."""

    SMOKE = "smoke"
    INTEGRATION = "integration"
    SCALE = "scale"


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A closed model. Each class repeats ``frozen`` for type checkers and ``kw_only`` because it is not inherited."""


class Cause(_Struct, frozen=True, kw_only=True):
    """The reason for an outcome: ``rule`` is the rule that applied, ``evidence`` one line that a reader can check."""

    phase: Phase
    cls: CauseClass = msgspec.field(name="class")
    rule: str
    evidence: str


class Case(_Struct, frozen=True, kw_only=True):
    """What was run."""

    component: str
    partners: list[str] = []
    payload: str | None = None
    params: dict[str, Any] = {}
    tier: Tier = Tier.INTEGRATION


class Harness(_Struct, frozen=True, kw_only=True):
    """Provenance: the harness's version and, from a checkout, the commit; ``config_digest`` covers the site file."""

    version: str
    commit: str | None = None
    dirty: bool | None = None
    remote: str | None = None
    config_digest: str | None = None


class Context(_Struct, frozen=True, kw_only=True):
    """Where the case ran, and what started the run."""

    site: str
    system: str
    queue: str | None = None
    nodes: list[str] = []
    architecture: str | None = None
    gpu: str | None = None
    runner: str | None = None
    trigger: str = "manual"
    harness: Harness


class Component(_Struct, frozen=True, kw_only=True):
    """One installed component, as the probe reported it."""

    name: str
    version: str | None
    provider: str | None = None
    location: str | None = None
    spec: str | None = None
    dag_hash: str | None = None
    commit: str | None = None


class Deployment(_Struct, frozen=True, kw_only=True):
    """The deployment under test; ``digest`` changes whenever its contents change."""

    name: str
    kind: str
    digest: str


class Stack(_Struct, frozen=True, kw_only=True):
    """All software below the payload that could explain a change of outcome."""

    deployment: Deployment | None = None
    components: list[Component] = []
    spack_commit: str | None = None
    packages_commit: str | None = None
    python: str | None = None
    mpi: str | None = None
    modules: list[str] = []


class Software(_Struct, frozen=True, kw_only=True):
    """A scheduler or launcher. ``emulated`` marks an emulator; its results are never shown as those of the real one."""

    name: str
    version: str | None = None
    emulated: bool = False


class Scheduler(_Struct, frozen=True, kw_only=True):
    """The schedulers and launcher that ran the case, and what the scheduler reported about it."""

    outer: Software | None = None
    nested: Software | None = None
    launcher: Software | None = None
    job_ids: list[str] = []
    native_state: str | None = None
    native_reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None


class Span(_Struct, frozen=True, kw_only=True):
    """A duration in seconds and who measured it: ``scheduler`` or ``harness``."""

    seconds: float
    source: str


class Timing(_Struct, frozen=True, kw_only=True):
    """Times are UTC in ISO 8601 with a trailing Z; an unknown time or duration is null."""

    submitted: str | None = None
    started: str | None = None
    ended: str | None = None
    setup: Span | None = None
    queue_wait: Span | None = None
    launch: Span | None = None
    run: Span | None = None
    collect: Span | None = None
    teardown: Span | None = None


class Verdict(_Struct, frozen=True, kw_only=True):
    """The outcome and its cause. Only a pass may lack a cause."""

    outcome: Outcome
    cause: Cause | None = None

    def __post_init__(self) -> None:
        if self.cause is None and self.outcome is not Outcome.PASS:
            raise ValueError(f"an outcome of {self.outcome.value!r} needs a cause")


class Retries(_Struct, frozen=True, kw_only=True):
    """Attempts count from 1. ``final`` is false if another attempt followed, or was to follow in an interrupted run."""

    attempt: int = 1
    final: bool = True
    supersedes: str | None = None


class Artifact(_Struct, frozen=True, kw_only=True):
    """A file kept beside the record, by name within the run folder and sha256."""

    name: str
    digest: str


class Evidence(_Struct, frozen=True, kw_only=True):
    """What is needed to check the verdict: limited output, files, and the command to run the payload again by hand."""

    output_tail: str | None = None
    artifacts: list[Artifact] = []
    redaction: str = "full"
    reproduce: str | None = None


class Metric(_Struct, frozen=True, kw_only=True):
    """One measured value; ``better`` is ``lower`` or ``higher``."""

    name: str
    value: float
    unit: str
    better: str


class Log(_Struct, frozen=True, kw_only=True):
    """A log that was read for the diagnosis: of a component, or the answers of a scheduler about the job.

    ``component`` is the component or the kind of scheduler that wrote it. ``path`` is its copy, unredacted, below the
    run's ``private`` folder; ``size`` its bytes. ``lines`` are the lines chosen from it.
    """

    component: str
    path: str
    size: int
    lines: list[str] = []


class Diagnosis(_Struct, frozen=True, kw_only=True):
    """Why a case did not pass, for people: what was expected, what came, the cause, and what to do.

    ``title`` names the cause in a few words. ``cause_key`` is equal for attempts that failed for the same reason, on
    every system and in every run. ``expected`` and ``got`` are what the test function compared, or what was awaited of
    the payload. ``line`` is the line that names the cause, ``source`` the name of the file that contains it.
    ``blocked_by`` is the cause key of the finding because of which the case was not started. ``answer`` is the
    payload's answer as JSON.
    """

    title: str
    cause_key: str
    expected: str | None = None
    got: str | None = None
    line: str | None = None
    source: str | None = None
    advice: str | None = None
    blocked_by: str | None = None
    answer: str | None = None
    logs: list[Log] = []


class Record(_Struct, frozen=True, kw_only=True):
    """The result of one attempt at one case. It never changes, and it counts once however often it is sent.

    ``diagnosis`` is absent from a pass and from every record of version 1.
    """

    schema: int = SCHEMA_VERSION
    record_id: str
    run_id: str
    case_id: str
    origin: Origin = Origin.NATIVE
    case: Case
    context: Context
    stack: Stack
    scheduler: Scheduler
    timing: Timing
    verdict: Verdict
    retries: Retries = Retries()
    evidence: Evidence = Evidence()
    metrics: list[Metric] = []
    diagnosis: Diagnosis | msgspec.UnsetType = msgspec.UNSET
    extras: dict[str, Any] = {}

    def __post_init__(self) -> None:
        _check_version(self.schema)
        if self.schema == 1 and self.diagnosis is not msgspec.UNSET:
            raise ValueError("a record of schema 1 has no `diagnosis`")


class Selection(_Struct, frozen=True, kw_only=True):
    """What the user selected. A partial selection creates no missing cases."""

    cases: list[str] = []
    components: list[str] = []
    schedulers: list[str] = []
    tier: Tier = Tier.INTEGRATION
    nodes: int | None = None
    partial: bool = False


class PlannedCase(_Struct, frozen=True, kw_only=True):
    """One cell of the matrix; the manifest names it whether or not it can run."""

    case_id: str
    component: str
    partners: list[str] = []
    scheduler: str
    tier: Tier = Tier.INTEGRATION


class Waiver(_Struct, frozen=True, kw_only=True):
    """A known failure: a shell pattern of case ids, the reason, and the ISO date after which the waiver is invalid."""

    cases: str
    reason: str
    expires: str
    owner: str | None = None


class Closing(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The counts that close a run. ``sequence`` starts at 1 and grows by one with every resume; the highest one counts.

    ``state`` is ``complete`` or ``interrupted``; ``counts`` maps each outcome to its number of cases (the effective
    record of a case is its highest attempt); ``missing`` counts planned cases without any record. ``leftover_jobs``
    describes jobs that may still be in a queue, each with the command that cancels it.
    """

    sequence: int
    state: str
    ended: str
    planned: int
    recorded: int
    missing: int
    counts: dict[str, int]
    exit_code: int
    leftover_jobs: list[str] = []


class Manifest(_Struct, frozen=True, kw_only=True):
    """Opens a run: the plan, and what the collector cannot know otherwise. Only ``closed`` changes later.

    ``time_limit`` is the longest that the plan may take, ``HH:MM:SS``. After that time, a planned case that did not
    report is missing, also if the run was never closed.
    """

    schema: int = SCHEMA_VERSION
    run_id: str
    site: str
    system: str
    started: str
    trigger: str = "manual"
    harness: Harness
    release: str | None = None
    selection: Selection
    planned: list[PlannedCase]
    deployments: list[Deployment] = []
    redaction: str = "full"
    cadence: str | None = None
    stale_after: str | None = None
    waivers: list[Waiver] = []
    owner: str | None = None
    time_limit: str | msgspec.UnsetType | None = msgspec.UNSET
    closed: Closing | None = None

    def __post_init__(self) -> None:
        _check_version(self.schema)


def _check_version(version: int) -> None:
    if version not in READABLE_VERSIONS:
        readable = " and ".join(str(each) for each in READABLE_VERSIONS)
        raise ValueError(f"schema {version} is not supported; this build reads schema {readable}")


def canonical(value: S) -> S:
    """Return the value as it is decoded from its own encoding, so that sender and receiver compute the same digest.

    A constructor checks no types, and a whole number in a float field is encoded as ``3`` before it is decoded once and
    as ``3.0`` afterwards.

    Raises:
        msgspec.ValidationError: a field has a value that the schema does not allow; the message gives its path.
        ValueError, TypeError, OverflowError, RecursionError: a free field has a value that JSON cannot represent.
    """
    return msgspec.json.decode(encode(value), type=type(value))


def record_id(site: str, system: str, run_id: str, case_id: str, attempt: int) -> str:
    """Return the id of an attempt: the sha256 hex digest of its five identifying values, so that it counts once."""
    return hashlib.sha256(msgspec.json.encode([site, system, run_id, case_id, attempt])).hexdigest()


IN = "/in:"
"""Stands in the id of a case before the label of its deployment. Cases of a run's first deployment have no label."""


def deployment_label(case_id: str) -> str:
    """Return the label of a case's deployment: ``spack`` of ``parsl/hello@slurm/in:spack``; empty without a label."""
    return case_id.rpartition(IN)[2] if IN in case_id else ""


def in_deployment(case_id: str, label: str) -> str:
    """Return the id of a case in the deployment with this label."""
    return f"{case_id}{IN}{label}" if label else case_id


def case_matches(case_id: str, pattern: str) -> bool:
    """Return whether a shell pattern matches a case: its whole id, or its id without the label of its deployment.

    A pattern that names no deployment is therefore about a case in every deployment.
    """
    return fnmatchcase(case_id, pattern) or (IN in case_id and fnmatchcase(case_id.rpartition(IN)[0], pattern))


def encode(value: msgspec.Struct) -> bytes:
    """Encode in the canonical form, with sorted keys, so that equal values have equal bytes."""
    return msgspec.json.encode(value, order="sorted")


def digest(value: msgspec.Struct) -> str:
    """Return the sha256 hex digest of the canonical form, which the collector acknowledges."""
    return hashlib.sha256(encode(value)).hexdigest()


def json_schema(model: type = Record) -> dict[str, Any]:
    """Return the published JSON Schema (draft 2020-12) of a model."""
    return msgspec.json.schema(model)
