"""``POST /result`` as PSI/J's own test suite (``pytest --upload-results``) and the first SDK's ``test.py`` send it.

Each request is ``{id, key, data}``; ``data`` is a test, or an event: the beginning of a run, with what was found of its
environment, or its end. Events are no tests and are not counted. The two clients name them differently.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from collector.errors import Problem
from collector.importers.common import Finding, Source, case_of, instant, manifest_of, name_of, plain, seconds_between
from dashboard_client.schema import Deployment, Manifest, Origin, Outcome, Phase

START, END = "start", "end"
_WITH = re.compile(r"(?P<name>[^\[]*)\[(?P<given>.*)\]", re.DOTALL)
_EXECUTOR = re.compile(r"(?P<executor>[a-z_]+)(?::(?P<launcher>[A-Za-z0-9_.-]*))?")


class Message(msgspec.Struct, frozen=True):
    """What is sent; ``data`` is open, since its clients are many."""

    id: str
    key: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Parcel:
    """A message, read: an event of a run, or a finding."""

    sender: str
    key: str
    data: dict[str, Any]
    event: str | None
    digest: bytes
    body: bytes

    @property
    def system(self) -> str:
        return name_of(self.sender)

    def source(self, site: str, system: str) -> Source:
        """Name the run: one run id may stand for several branches, and sites do not know each other's."""
        run = self.data.get("run_id")
        if run in (None, ""):
            run = (_time(self.data, "test_start_time") or "unknown")[:10]
        named = f"{system}:{run}:{self.data.get('branch') or '-'}"
        return Source(site, system, name_of(named), Origin.PSIJ, "psij-python" if "cls" in self.data else "sdk-tests")

    def manifest(self, site: str, system: str, fallback: str) -> Manifest:
        """Return the manifest that the beginning of a run makes."""
        extras = self.data.get("extras")
        told: dict[str, Any] = extras if isinstance(extras, dict) else {}
        config = told.get("config") if isinstance(told.get("config"), dict) else {}
        started = _time(self.data, "test_start_time") or instant(told.get("start_time")) or fallback
        source = self.source(site, system)
        owner = (config or {}).get("maintainer_email")
        return manifest_of(source, started, None, _deployments(source, told), owner if isinstance(owner, str) else None)

    def finding(self) -> Finding:
        """Return the test that the message tells of."""
        data = self.data
        started, ended = _time(data, "test_start_time"), _time(data, "test_end_time")
        outcome, phase, evidence = _verdict(data.get("results"))
        output = "".join(f"{part}\n" for name in ("stdout", "stderr", "log") if (part := plain(data.get(name)).strip()))
        case_id, component, scheduler, launcher = _case(data)
        said = {name: data[name] for name in ("module", "cls", "function", "test_name", "branch") if data.get(name)}
        return Finding(
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
            extras={"sent": said, "source": self.digest.hex()},
        )


def read_parcel(body: bytes) -> Parcel:
    """Read a message.

    Raises:
        Problem: it is not of that form, or its key is empty.
    """
    try:
        message = msgspec.json.decode(body, type=Message)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid", f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "not-json", f"{error}.") from error
    if not message.key.strip():
        raise Problem(401, "token-needed", "The key is empty.", "key")
    if not 0 < len(message.id) <= 128 or not message.id.isprintable():
        raise Problem(422, "invalid", "id: is not 1 to 128 printable characters.", "id")
    for name in ("run_id", "branch", "module", "cls", "function", "test_name"):
        value = message.data.get(name)
        if value is not None and (not isinstance(value, (str, int)) or len(str(value)) > 1000):
            raise Problem(422, "invalid", f"data.{name}: is not a text of at most 1000 characters.", f"data.{name}")
    kept = msgspec.json.encode({"id": message.id, "data": message.data}, order="sorted")
    return Parcel(message.id, message.key, message.data, _event(message.data), hashlib.sha256(kept).digest(), kept)


def _event(data: dict[str, Any]) -> str | None:
    """Tell the events; the first SDK's end looks like a beginning but for its module."""
    if data.get("module") == "_end" or data.get("function") == "_end":
        return END
    return START if data.get("function") == "_discover_environment" else None


def _time(data: dict[str, Any], name: str) -> str | None:
    return instant(data.get(name))


def _deployments(source: Source, told: dict[str, Any]) -> list[Deployment]:
    """Name what was under test by what does not change from run to run unless it does."""
    commit = told.get("git_last_commit")
    if isinstance(commit, str) and commit.strip('"'):
        return [Deployment(name=source.tool, kind="git", digest=commit.strip('"')[:128])]
    said = {name: value for name, value in told.items() if isinstance(value, str) and "time" not in name}
    if not said:
        return []
    return [
        Deployment(name=source.tool, kind="ci", digest=hashlib.sha256(repr(sorted(said.items())).encode()).hexdigest())
    ]


def _case(data: dict[str, Any]) -> tuple[str, str, str, str | None]:
    """Return case id, component, scheduler and launcher."""
    test = str(data.get("test_name") or data.get("function") or "unnamed")
    module = str(data.get("module") or "")
    if "cls" not in data:
        component = name_of(test.lower(), 64)
        return f"{component}/{name_of(module or 'sdk', 64)}@local", component, "local", None
    scheduler, launcher = "local", None
    given = _WITH.fullmatch(test)
    name = test
    if given is not None:
        executor = _EXECUTOR.fullmatch(given["given"])
        name = given["name"] if executor is not None else f"{given['name']}:{given['given']}"
        if executor is not None:
            scheduler, launcher = executor["executor"], executor["launcher"] or None
    whole = ".".join(str(part) for part in (module, data.get("cls"), name) if part)
    tail = f"/{launcher}" if launcher else ""
    return f"psij/{case_of(whole)}@{scheduler}{tail}", "psij", scheduler, launcher


def _verdict(results: object) -> tuple[Outcome, Phase, str]:
    """Return the outcome of the worst step; only a failing call is the test's own failure."""
    steps = (
        {name: step for name, step in results.items() if isinstance(step, dict)} if isinstance(results, dict) else {}
    )
    if not steps:
        return Outcome.ERROR, Phase.COLLECT, "the message tells of no result"
    for name, step in steps.items():
        if step.get("status") == "skipped":
            return Outcome.SKIP, Phase.PLAN, str(step.get("report") or step.get("exception") or "skipped")
        if step.get("passed") is not True:
            report = str(step.get("report") or step.get("exception") or "")
            if name == "setup":
                return Outcome.ERROR, Phase.LAUNCH, report
            return (Outcome.ERROR, Phase.TEARDOWN, report) if name == "teardown" else (Outcome.FAIL, Phase.RUN, report)
    return Outcome.PASS, Phase.RUN, ""
