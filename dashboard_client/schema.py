"""Schema version 1 of what a run reports: the manifest that opens it, its records, and the closing count.

One typed model serves the harness, the wire, the published JSON Schema and the collector. Unknown keys are refused
everywhere except under ``extras``. Times are UTC and ISO 8601; durations are seconds; unknown is null, never zero.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Any, TypeVar

import msgspec

SCHEMA_VERSION = 1

S = TypeVar("S", bound=msgspec.Struct)


class Outcome(str, enum.Enum):
    """What came of one attempt at a case. Flaky, stale and missing are derived by the collector, never uploaded."""

    PASS = "pass"  # noqa: S105
    """Every assertion on the payload's answer held."""
    FAIL = "fail"
    """What was promised did not happen: an assertion failed, or something promised is absent or of another version."""
    ERROR = "error"
    """No verdict could be reached and there is no positive evidence against the site: unclassified, interrupted."""
    SKIP = "skip"
    """Nobody promised it, and the reason says what was looked for and where."""
    XFAIL = "xfail"
    """Failed as a known upstream bug or a valid waiver says it does."""
    XPASS = "xpass"
    """Passed although it is listed as known to fail: the listing is out of date."""
    INFRA = "infra"
    """Not run to a verdict, with positive evidence that the site or its scheduler is at fault."""


class CauseClass(str, enum.Enum):
    """Whose fault a non-pass is."""

    SITE = "site"
    """The machine or its configuration: node failure, full disk, control case failed."""
    SCHEDULER = "scheduler"
    """The resource manager: submit refused, unreachable, waited too long, preempted."""
    COMPONENT = "component"
    """The technology under test."""
    DISTRIBUTION = "distribution"
    """The way it was packaged or deployed: absent although promised, another version than the release's."""
    HARNESS = "harness"
    """This project: a payload or a case that is itself at fault, or a run that was interrupted."""
    UNKNOWN = "unknown"
    """Not enough evidence to blame anyone."""


class Phase(str, enum.Enum):
    """When it happened."""

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
    """Who made the record: this harness, or an importer of another tool's results."""

    NATIVE = "native"
    JUNIT = "junit"
    PSIJ = "psij"
    E4S = "e4s"


CONTROL = "control"
"""The pseudo-component of control cases, present wherever its scheduler is: one that passes says nothing of the SDK."""


class Tier(str, enum.Enum):
    """How much of the matrix a selection takes in; each tier contains the ones before it."""

    SMOKE = "smoke"
    INTEGRATION = "integration"
    SCALE = "scale"


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Closed. Each class repeats ``frozen`` for type checkers and ``kw_only`` because it is not inherited."""


class Cause(_Struct, frozen=True, kw_only=True):
    """Why an outcome is what it is: ``rule`` is the classifier's, ``evidence`` is one line a reader can check."""

    phase: Phase
    cls: CauseClass = msgspec.field(name="class")
    rule: str
    evidence: str


class Case(_Struct, frozen=True, kw_only=True):
    """The part of a record that says what was run."""

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
    """Where and on whose behalf it ran."""

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
    """One installed component as the probe found it."""

    name: str
    version: str | None
    provider: str | None = None
    location: str | None = None
    spec: str | None = None
    dag_hash: str | None = None
    commit: str | None = None


class Deployment(_Struct, frozen=True, kw_only=True):
    """What was under test; ``digest`` changes whenever its contents do."""

    name: str
    kind: str
    digest: str


class Stack(_Struct, frozen=True, kw_only=True):
    """Everything below the payload that could explain a change of outcome."""

    deployment: Deployment | None = None
    components: list[Component] = []
    spack_commit: str | None = None
    packages_commit: str | None = None
    python: str | None = None
    mpi: str | None = None
    modules: list[str] = []


class Software(_Struct, frozen=True, kw_only=True):
    """A scheduler or launcher; results of a dialect emulator, marked ``emulated``, never show as the real one's."""

    name: str
    version: str | None = None
    emulated: bool = False


class Scheduler(_Struct, frozen=True, kw_only=True):
    """What carried the case, and the scheduler's own words about it."""

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
    """Instants are UTC in ISO 8601 with a trailing Z; unknown is null."""

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
    """The two axes: what came of it, and whose fault it is. Only a pass may lack a cause."""

    outcome: Outcome
    cause: Cause | None = None

    def __post_init__(self) -> None:
        if self.cause is None and self.outcome is not Outcome.PASS:
            raise ValueError(f"an outcome of {self.outcome.value!r} needs a cause")


class Retries(_Struct, frozen=True, kw_only=True):
    """Attempts count from 1; ``final`` is false where another followed or is still owed (an interrupted run)."""

    attempt: int = 1
    final: bool = True
    supersedes: str | None = None


class Artifact(_Struct, frozen=True, kw_only=True):
    """A file kept beside the record, by name within the run folder and sha256."""

    name: str
    digest: str


class Evidence(_Struct, frozen=True, kw_only=True):
    """What a reader needs to check the verdict: bounded output, files, and the command that runs it again by hand."""

    output_tail: str | None = None
    artifacts: list[Artifact] = []
    redaction: str = "full"
    reproduce: str | None = None


class Metric(_Struct, frozen=True, kw_only=True):
    """One measured figure; ``better`` is ``lower`` or ``higher``."""

    name: str
    value: float
    unit: str
    better: str


class Record(_Struct, frozen=True, kw_only=True):
    """What one attempt at one case came to: immutable, idempotent, closed."""

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
    extras: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.schema != SCHEMA_VERSION:
            raise ValueError(f"schema {self.schema} is not supported; this build reads schema {SCHEMA_VERSION}")


class Selection(_Struct, frozen=True, kw_only=True):
    """What the person asked for. A partial selection creates no missing cases."""

    cases: list[str] = []
    components: list[str] = []
    schedulers: list[str] = []
    tier: Tier = Tier.INTEGRATION
    nodes: int | None = None
    partial: bool = False


class PlannedCase(_Struct, frozen=True, kw_only=True):
    """One cell of the matrix, named in the manifest whether or not it can run."""

    case_id: str
    component: str
    partners: list[str] = []
    scheduler: str
    tier: Tier = Tier.INTEGRATION


class Waiver(_Struct, frozen=True, kw_only=True):
    """A known failure: shell pattern of case ids, reason and the ISO date after which it counts no more."""

    cases: str
    reason: str
    expires: str
    owner: str | None = None


class Closing(_Struct, frozen=True, kw_only=True):
    """The count that closes a run. ``sequence`` is 1 and grows by one with every resume; the highest one counts.

    ``state`` is ``complete`` or ``interrupted``; ``counts`` maps each outcome to its number of cases (the effective
    record of a case is its highest attempt); ``missing`` counts planned cases without any record.
    """

    sequence: int
    state: str
    ended: str
    planned: int
    recorded: int
    missing: int
    counts: dict[str, int]
    exit_code: int


class Manifest(_Struct, frozen=True, kw_only=True):
    """Opens a run: what is planned and what the collector needs but cannot know. Immutable but for ``closed``."""

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
    closed: Closing | None = None


def canonical(value: S) -> S:
    """Return the value as it reads back from its own encoding, so that it has one digest on both ends of the wire.

    A constructor checks no types, and a whole number in a float field encodes as ``3`` here and as ``3.0`` once read.

    Raises:
        msgspec.ValidationError: a field holds what the schema does not allow; the message gives its path.
        ValueError, TypeError, OverflowError, RecursionError: a free field holds what JSON cannot carry.
    """
    return msgspec.json.decode(encode(value), type=type(value))


def record_id(site: str, system: str, run_id: str, case_id: str, attempt: int) -> str:
    """Name an attempt so that sending it twice can never make two: sha256 hex of the five identifying values."""
    return hashlib.sha256(msgspec.json.encode([site, system, run_id, case_id, attempt])).hexdigest()


def encode(value: msgspec.Struct) -> bytes:
    """Encode in the one canonical form, keys sorted, so that equal values have equal bytes."""
    return msgspec.json.encode(value, order="sorted")


def digest(value: msgspec.Struct) -> str:
    """Return the sha256 hex of the canonical form; this is what the collector acknowledges."""
    return hashlib.sha256(encode(value)).hexdigest()


def json_schema(model: type = Record) -> dict[str, Any]:
    """Return the published JSON Schema (draft 2020-12) of a model."""
    return msgspec.json.schema(model)
