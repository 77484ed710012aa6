"""Jobs and pipelines: which jobs exist, which may start, and with which status everything ends.

Sources: https://docs.gitlab.com/ci/yaml/ (rules, needs, when, allow_failure, retry, timeout, resource_group, trigger,
coverage), https://docs.gitlab.com/ci/variables/ (a variable of the pipeline precedes one of the job, which precedes one
of the file), https://docs.gitlab.com/ci/pipelines/downstream_pipelines/ (child pipelines).
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML

from tests.ci.runner.expressions import holds

KEYWORDS = frozenset({"workflow", "stages", "variables", "default", "include", "image", "cache", "spec"})
DONE = frozenset({"success", "failed", "canceled", "skipped"})
DEFAULT_TIMEOUT = 3600.0


def seconds(duration: str) -> float:
    """Return a duration such as ``1h 20m`` or ``25m`` in seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    return float(sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)\s*([hms])", duration)))


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with its variables replaced; one that is not set is empty."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: variables.get(match[1] or match[2], ""), text)


@dataclass
class Job:
    """One attempt of a job.

    artifacts: what was uploaded, by type (``archive``, ``junit``). sent: the names of the variables that the runner
    got. failure: GitLab's ``failure_reason``. child: the pipeline that a trigger job has started.
    """

    id: int
    name: str
    spec: dict[str, Any]
    when: str
    variables: dict[str, str]
    timeout: float
    status: str = "created"
    token: str = field(default_factory=lambda: f"glcbt-{secrets.token_hex(8)}")
    trace: bytearray = field(default_factory=bytearray)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    failure: str | None = None
    runner: str | None = None
    canceling: bool = False
    attempt: int = 1
    child: Pipeline | None = None
    started: float = 0.0
    seconds: float = 0.0

    @property
    def stage(self) -> str:
        return str(self.spec.get("stage", "test"))

    @property
    def tags(self) -> frozenset[str]:
        """The tags, in which GitLab replaces variables."""
        return frozenset(expanded(str(tag), self.variables) for tag in self.spec.get("tags", ()))

    @property
    def log(self) -> str:
        return self.trace.decode(errors="replace")

    @property
    def passed(self) -> bool:
        """Whether the jobs after this one start."""
        allowed = self.status == "failed" and bool(self.spec.get("allow_failure"))
        return self.status in ("success", "skipped") or allowed

    @property
    def coverage(self) -> float | None:
        pattern = str(self.spec.get("coverage", ""))
        found = re.findall(pattern.strip("/"), self.log) if pattern else []
        return float(found[-1]) if found else None


Limits = Mapping[str, Callable[["Pipeline"], tuple[float, float]]]


class Pipeline:
    """A pipeline of one file. ``jobs`` are the newest attempts by name, ``all`` every attempt in order of creation.

    limits: functions that return the timeout of a job and of its script in seconds, instead of those of the file, by
    name of the job; the tests cannot wait for hours.
    """

    def __init__(
        self,
        text: str,
        variables: dict[str, str],
        *,
        first_id: int,
        limits: Limits | None = None,
        parent: Pipeline | None = None,
    ) -> None:
        self.tree: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
        self.variables, self.parent, self.limits = variables, parent, limits or {}
        self.id = first_id
        self.jobs: dict[str, Job] = {}
        self.all: list[Job] = []
        self._next = first_id + 1
        known = {**self._strings(self.tree.get("variables")), **variables}
        self.created = self._matching(self.tree.get("workflow", {}).get("rules"), known) is not None
        for name, spec in self.tree.items():
            if self.created and name not in KEYWORDS and isinstance(spec, dict) and not name.startswith("."):
                self._create(name, spec, known)

    @property
    def stages(self) -> list[str]:
        return list(self.tree.get("stages", ["build", "test", "deploy"]))

    @property
    def status(self) -> str:
        """The status as GitLab shows it: a failure that is allowed does not count, nor does an earlier attempt."""
        statuses = [job.status for job in self.jobs.values() if not (job.status == "failed" and job.passed)]
        if any(status not in DONE for status in statuses):
            return "running"
        for status in ("failed", "canceled"):
            if status in statuses:
                return status
        return "success"

    @property
    def results(self) -> dict[str, str]:
        """The status of every job that was created; ``warning`` for a failure that is allowed."""
        return {
            name: "warning" if job.status == "failed" and job.passed else job.status for name, job in self.jobs.items()
        }

    def _create(self, name: str, spec: dict[str, Any], known: dict[str, str]) -> None:
        rule = self._matching(spec.get("rules"), known)
        if rule is None:
            return
        own = {**self._strings(self.tree.get("variables")), **self._strings(spec.get("variables"))}
        own |= self._strings(rule.get("variables"))
        own |= self.variables
        timeout = seconds(spec["timeout"]) if "timeout" in spec else DEFAULT_TIMEOUT
        self._add(Job(self._number(), name, spec, str(rule.get("when", spec.get("when", "on_success"))), own, timeout))

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _add(self, job: Job) -> None:
        self.jobs[job.name] = job
        self.all.append(job)

    @staticmethod
    def _strings(variables: Any) -> dict[str, str]:
        """Return the variables of the file or of a job, each a value or a mapping with a ``value``."""
        given = {
            name: value["value"] if isinstance(value, dict) else value for name, value in (variables or {}).items()
        }
        return {name: str(value) for name, value in given.items()}

    @staticmethod
    def _matching(rules: list[dict[str, Any]] | None, known: dict[str, str]) -> dict[str, Any] | None:
        """Return the first rule that matches, or None if there is none or it says never; no rules match everything."""
        if rules is None:
            return {}
        for rule in rules:
            changed = "changes" not in rule or bool(known.get("CHANGED"))
            if changed and ("if" not in rule or holds(rule["if"], known)):
                return None if rule.get("when") == "never" else rule
        return None

    def begin(self, job: Job, runner: str) -> None:
        """Give a job to a runner."""
        job.status, job.runner, job.started = "running", runner, time.monotonic()
        if job.name in self.limits:
            job.timeout, script = self.limits[job.name](self)
            job.variables = {**job.variables, "RUNNER_SCRIPT_TIMEOUT": f"{script:g}s"}

    def advance(self) -> None:
        """Set every job that may start to pending, and skip those that never can."""
        changed = True
        while changed:
            changed = False
            for job in list(self.jobs.values()):
                if job.status != "created":
                    continue
                before = self.before(job)
                if any(earlier.status not in DONE for earlier in before):
                    continue
                good = all(earlier.passed for earlier in before)
                starts = job.when == "always" or (job.when == "on_success" and good)
                job.status = "pending" if starts else "skipped"
                changed = True

    def before(self, job: Job) -> list[Job]:
        """Return the jobs that have to end first: those it needs, or all of the earlier stages."""
        if "needs" in job.spec:
            needs = [need if isinstance(need, dict) else {"job": need} for need in job.spec["needs"]]
            return [self.jobs[need["job"]] for need in needs if need["job"] in self.jobs]
        earlier = self.stages[: self.stages.index(job.stage)]
        return [other for other in self.jobs.values() if other.stage in earlier]

    def dependencies(self, job: Job) -> list[Job]:
        """Return the jobs whose artifacts the job gets."""
        wanted = {need["job"]: need.get("artifacts", True) for need in job.spec.get("needs", ()) if "job" in need}
        return [other for other in self.before(job) if other.artifacts.get("archive") and wanted.get(other.name, True)]

    def end(self, job: Job, status: str, failure: str | None = None) -> None:
        """Set the final status of a job. If its failure is one that ``retry`` names, create the next attempt."""
        job.status, job.failure, job.seconds = status, failure, time.monotonic() - job.started
        retry = job.spec.get("retry") or {}
        repeated = failure in retry.get("when", ()) and job.attempt <= int(retry.get("max", 0))
        if status == "failed" and repeated and not job.canceling:
            again = Job(self._number(), job.name, job.spec, job.when, job.variables, job.timeout)
            again.attempt, again.status = job.attempt + 1, "pending"
            self._add(again)
        self.advance()
