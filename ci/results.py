"""The results folder of a pipeline: the result of each stage, and the outbox of its runs.

    results/<stage>/stage.json              the stage: its command, its exit code, its runs
    results/<stage>/stage.xml               the same as JUnit, so that a failed build is shown next to failed cases
    results/<stage>/<run>/manifest.json …   the outbox of each run, and no other file of it

Manifests and records are read as plain JSON.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec

from ci.errors import StageError

OUTBOX = ("manifest.json", "records.jsonl", "junit.xml", "report.html")
"""The files of a run that may leave the machine; no other file of a run is ever copied here."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The file ``stage.json``. ``state`` is ``started``, then ``ended``; or ``withheld`` if the stage was not run."""

    stage: str
    system: str
    tests: bool
    command: list[str]
    started: str
    state: str = "started"
    seconds: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    before: list[str] = []
    runs: list[str] = []


@dataclass(frozen=True)
class Failure:
    """Why a case did not pass. ``key`` is equal for equal causes; records of schema 1 have their evidence there."""

    key: str
    title: str
    fault: str
    advice: str | None = None


@dataclass(frozen=True)
class Run:
    """The parts of a run that the verdict needs; ``closed`` is None if the run was not closed."""

    run_id: str
    closed: Mapping[str, Any] | None
    planned: tuple[Mapping[str, Any], ...] = ()
    outcomes: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)


def read_stage(folder: Path) -> Stage | None:
    """Read the file of one stage; return None if the stage was never started.

    Raises:
        StageError: the file exists but cannot be read.
    """
    path = folder / "stage.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stage)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StageError(f"{path}: cannot be read: {error}") from error


def write_stage(folder: Path, stage: Stage) -> None:
    """Write ``stage.json`` and ``stage.xml``, each in one step, so that a killed job never leaves a partial file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "stage.json", msgspec.json.format(msgspec.json.encode(stage), indent=1))
        _replace(folder / "stage.xml", _junit(stage))
    except OSError as error:
        raise StageError(f"{folder}: the stage's results cannot be written: {error.strerror or error}") from error


def copy_outbox(runs: Path, folder: Path, names: list[str]) -> None:
    """Copy the outbox of each run. Links are not followed: only files inside the run folder may leave the machine."""
    for name in names:
        for file in OUTBOX:
            source = runs / name / file
            if source.is_file() and not source.is_symlink():
                (folder / name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, folder / name / file)


def read_run(folder: Path) -> Run | None:
    """Read a copied outbox; return None if its manifest is missing or cannot be read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        records = _records(folder / "records.jsonl")
        return Run(
            run_id=manifest["run_id"],
            closed=manifest.get("closed"),
            planned=tuple(manifest["planned"]),
            outcomes={case: record["verdict"]["outcome"] for case, record in records.items()},
            failures={case: _failure(record) for case, record in records.items() if record["verdict"].get("cause")},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _records(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the record of each case's last attempt; a last line without line end is not a record."""
    best: dict[str, tuple[int, Mapping[str, Any]]] = {}
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for line in lines:
        if line.endswith(b"\n"):
            record = json.loads(line)
            attempt = int(record["retries"]["attempt"])
            if attempt >= best.get(record["case_id"], (0, {}))[0]:
                best[record["case_id"]] = (attempt, record)
    return {case: record for case, (_, record) in best.items()}


def _failure(record: Mapping[str, Any]) -> Failure:
    cause, diagnosis = record["verdict"]["cause"], record.get("diagnosis")
    if diagnosis is None:
        evidence = str(cause["evidence"])
        return Failure(f"{cause['rule']}\n{evidence}", evidence, cause["class"])
    return Failure(diagnosis["cause_key"], diagnosis["title"], cause["class"], diagnosis.get("advice"))


def _junit(stage: Stage) -> bytes:
    suite = ElementTree.Element(
        "testsuite",
        name=f"{stage.system} pipeline",
        tests="1",
        failures="0",
        errors="0",
        skipped="0",
        time=f"{stage.seconds or 0:.3f}",
    )
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"{stage.system}.pipeline", name=stage.stage, time=f"{stage.seconds or 0:.3f}"
    )
    command = "exaworks " + " ".join(stage.command)
    if stage.state == "withheld":
        suite.set("skipped", "1")
        ElementTree.SubElement(case, "skipped", message=stage.reason or "not run")
    elif stage.state == "started":
        suite.set("errors", "1")
        ElementTree.SubElement(case, "error", message=f"{command}: did not end")
    elif stage.exit_code:
        suite.set("failures", "1")
        ElementTree.SubElement(case, "failure", message=f"{command}: exit code {stage.exit_code}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)
