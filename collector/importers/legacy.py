"""The messages to ``POST /result`` of PSI/J's test suite (``pytest --upload-results``) and the first SDK's ``test.py``.

Each request is ``{id, key, data}``. ``data`` is a test or an event. An event is the start of a run, with a description
of its environment, or its end. Events are not counted as tests. The two clients name the events differently.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from collector.errors import Problem
from collector.importers.common import (
    ImportedTest,
    Source,
    instant,
    make_manifest,
    plain,
    seconds_between,
    valid_case_name,
    valid_name,
)
from dashboard_client.schema import Deployment, Manifest, Origin, Outcome, Phase

START, END = "start", "end"
_PARAMETERS = re.compile(r"(?P<name>[^\[]*)\[(?P<parameters>.*)\]", re.DOTALL)
_EXECUTOR = re.compile(r"(?P<executor>[a-z_-]+)(?::(?P<launcher>[A-Za-z0-9_.-]*))?")


class RequestBody(msgspec.Struct, frozen=True):
    """The body of a request; any member is accepted in ``data``, because the clients differ."""

    id: str
    key: str
    data: dict[str, Any]


@dataclass(frozen=True)
class LegacyMessage:
    """A decoded message: a test, or an event of a run. ``event``: ``START``, ``END``, or None for a test."""

    sender: str
    key: str
    data: dict[str, Any]
    event: str | None
    digest: bytes
    body: bytes

    @property
    def system(self) -> str:
        return valid_name(self.sender)

    def source(self, site: str, system: str) -> Source:
        """Return the source of this message.

        The name of the run contains the branch, because one run id may stand for several branches, and the system,
        because two sites may use the same run id.
        """
        run = self.data.get("run_id")
        if run in (None, ""):
            run = (_time(self.data, "test_start_time") or "unknown")[:10]
        name = f"{system}:{run}:{self.data.get('branch') or '-'}"
        return Source(site, system, valid_name(name), Origin.PSIJ, "psij-python" if "cls" in self.data else "sdk-tests")

    def manifest(self, site: str, system: str, fallback: str) -> Manifest:
        """Return the manifest for an event that starts a run. ``fallback``: its start if the message has none."""
        extras = self.data.get("extras")
        environment: dict[str, Any] = extras if isinstance(extras, dict) else {}
        config = environment.get("config") if isinstance(environment.get("config"), dict) else {}
        started = _time(self.data, "test_start_time") or instant(environment.get("start_time")) or fallback
        source = self.source(site, system)
        owner = (config or {}).get("maintainer_email")
        deployments = _deployments(source, environment)
        return make_manifest(source, started, None, deployments, owner if isinstance(owner, str) else None)

    def test(self) -> ImportedTest:
        """Return the test that the message reports."""
        data = self.data
        started, ended = _time(data, "test_start_time"), _time(data, "test_end_time")
        outcome, phase, evidence = _verdict(data.get("results"))
        output = "".join(f"{part}\n" for name in ("stdout", "stderr", "log") if (part := plain(data.get(name)).strip()))
        case_id, component, scheduler, launcher = _case(data)
        sent = {name: data[name] for name in ("module", "cls", "function", "test_name", "branch") if data.get(name)}
        return ImportedTest(
            case_id=case_id,
            component=component,
            outcome=outcome,
            evidence=evidence or output,
            phase=phase,
            scheduler=scheduler,
            launcher=launcher,
            started=started,
            ended=ended,
            seconds=seconds_between(started, ended),
            output=f"{output}{plain(evidence)}" or None,
            extras={"sent": sent, "source": self.digest.hex()},
        )


def read_legacy_message(body: bytes) -> LegacyMessage:
    """Decode a message.

    Raises:
        Problem: the message has another format, or its key is empty.
    """
    try:
        message = msgspec.json.decode(body, type=RequestBody)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid", f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "not-json", f"The body is not valid JSON: {error}.") from error
    if not message.key.strip():
        detail = "The key is empty. Send a token, or the key that is registered for this id."
        raise Problem(401, "token-needed", detail, "key")
    if not 0 < len(message.id) <= 128 or not message.id.isprintable():
        raise Problem(422, "invalid", "id: must be 1 to 128 printable characters.", "id")
    for name in ("run_id", "branch", "module", "cls", "function", "test_name"):
        value = message.data.get(name)
        if value is not None and (not isinstance(value, (str, int)) or len(str(value)) > 1000):
            raise Problem(422, "invalid", f"data.{name}: must be a text of at most 1000 characters.", f"data.{name}")
    kept = msgspec.json.encode({"id": message.id, "data": message.data}, order="sorted")
    return LegacyMessage(
        message.id, message.key, message.data, _event(message.data), hashlib.sha256(kept).digest(), kept
    )


def _event(data: dict[str, Any]) -> str | None:
    """Return the kind of event, or None for a test. The first SDK marks the end of a run by the module only."""
    if data.get("module") == "_end" or data.get("function") == "_end":
        return END
    return START if data.get("function") == "_discover_environment" else None


def _time(data: dict[str, Any], name: str) -> str | None:
    return instant(data.get(name))


def _deployments(source: Source, environment: dict[str, Any]) -> list[Deployment]:
    """Return the deployment under test, identified by its commit, or else by the values that do not name a time."""
    commit = environment.get("git_last_commit")
    if isinstance(commit, str) and commit.strip('"'):
        return [Deployment(name=source.tool, kind="git", digest=commit.strip('"')[:128])]
    constant = {name: value for name, value in environment.items() if isinstance(value, str) and "time" not in name}
    if not constant:
        return []
    digest = hashlib.sha256(repr(sorted(constant.items())).encode()).hexdigest()
    return [Deployment(name=source.tool, kind="ci", digest=digest)]


def _case(data: dict[str, Any]) -> tuple[str, str, str, str | None]:
    """Return case id, component, scheduler and launcher."""
    test = str(data.get("test_name") or data.get("function") or "unnamed")
    module = str(data.get("module") or "")
    if "cls" not in data:
        component = valid_name(test.lower(), 64)
        return f"{component}/{valid_name(module or 'sdk', 64)}@local", component, "local", None
    scheduler, launcher = "local", None
    parametrized = _PARAMETERS.fullmatch(test)
    name = test
    if parametrized is not None:
        executor = _EXECUTOR.fullmatch(parametrized["parameters"])
        name = parametrized["name"] if executor is not None else f"{parametrized['name']}:{parametrized['parameters']}"
        if executor is not None:
            scheduler, launcher = executor["executor"], executor["launcher"] or None
    full_name = ".".join(str(part) for part in (module, data.get("cls"), name) if part)
    tail = f"/{launcher}" if launcher else ""
    return f"psij/{valid_case_name(full_name)}@{scheduler}{tail}", "psij", scheduler, launcher


def _verdict(results: object) -> tuple[Outcome, Phase, str]:
    """Return the outcome of the first step that did not pass; only a failed ``call`` is a failure of the test."""
    steps = (
        {name: step for name, step in results.items() if isinstance(step, dict)} if isinstance(results, dict) else {}
    )
    if not steps:
        return Outcome.ERROR, Phase.COLLECT, "the message contains no result"
    for name, step in steps.items():
        if step.get("status") == "skipped":
            return Outcome.SKIP, Phase.PLAN, str(step.get("report") or step.get("exception") or "skipped")
        if step.get("passed") is not True:
            report = str(step.get("report") or step.get("exception") or "")
            if name == "setup":
                return Outcome.ERROR, Phase.LAUNCH, report
            return (Outcome.ERROR, Phase.TEARDOWN, report) if name == "teardown" else (Outcome.FAIL, Phase.RUN, report)
    return Outcome.PASS, Phase.RUN, ""
