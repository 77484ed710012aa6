"""The files of a batch job of the harness: its script, the agent's requests, and bounded reading of what it leaves."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdk_tests.execution import temporary_folder
from sdk_tests.execution.messages import InnerSetup, LaunchRequest, Setup
from sdk_tests.execution.process_table import STDERR_CAP, STDOUT_CAP
from sdk_tests.model.shell_level import EXPORT

AGENT = Path(__file__).with_name("agent.py")


@dataclass(frozen=True)
class Allocation:
    """The allocation that a job gets: nodes, cores of each, and the scheduler that is started in it."""

    nodes: int
    cores: int
    inner: InnerSetup | None = None

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs ``argv`` in the allocation, under the inner scheduler if there is one."""
        if self.inner is None:
            return [*argv]
        values = {"{nodes}": self.nodes, "{cores}": self.cores, "{gpus}": self.inner.gpus}
        start = list(self.inner.start)
        for name, value in values.items():
            start = [word.replace(name, str(value)) for word in start]
        return [*start, *argv]


def write_job(
    folder: Path,
    requests: Sequence[LaunchRequest],
    slots: int,
    setup: Setup,
    allocation: Allocation,
    inner: Mapping[str, Sequence[str]] | None,
) -> Path:
    """Write the agent's requests and the script that starts the agent in the allocation; return the script.

    inner: commands with which the agent checks a scheduler inside the allocation (``agent.InnerScheduler``).
    """
    cases = [
        {
            "key": request.key,
            "argv": request.argv,
            "environment": {
                "set": setup.changes[request.env].set,
                "unset": setup.changes[request.env].unset,
            },
            "scratch": request.scratch,
            "walltime": request.walltime,
            "cores": request.cores,
            "mark": f"{setup.mark}/{request.key}",
            "one_machine": request.nodes == 1 or setup.schedulers[request.scheduler].testbed,
            "components": request.components,
            "fixture": _fixture(request, setup),
        }
        for request in requests
    ]
    path = folder / "requests.json"
    given = {"slots": slots, "cases": cases, "inner": inner, "preflights": _preflights(requests, setup)}
    path.write_text(json.dumps(given), encoding="ascii")
    variables = dict(allocation.inner.variables) if allocation.inner else {}
    if allocation.inner and requests:
        testbed = setup.schedulers[requests[0].scheduler].testbed
        temporary = temporary_folder.create(str(folder), f"{setup.mark}/{folder}", testbed)
        variables |= {temporary_folder.VARIABLE: temporary} if temporary else {}
    start = allocation.command([setup.python, "-I", str(AGENT), str(path)])
    lines = ["#!/bin/sh", EXPORT, *_exports(variables), f"exec {shlex.join([*_unexportable(variables), *start])}"]
    script = folder / "job.sh"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    script.chmod(0o755)
    return script


def _fixture(request: LaunchRequest, setup: Setup) -> dict[str, object] | None:
    return {**msgspec.to_builtins(request.fixture), "mark": setup.mark} if request.fixture is not None else None


def _preflights(requests: Sequence[LaunchRequest], setup: Setup) -> dict[str, list[str]]:
    """Return what an allocation that several cases share tries before them; what starts here was tried here."""
    if len(requests) < 2:
        return {}
    here = setup.schedulers[requests[0].scheduler].testbed
    needed = {""} if here else {"", *(name for request in requests for name in request.components)}
    return {name: argv for name, argv in setup.preflights.items() if name in needed}


def _exports(variables: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if name.isidentifier()]


def _unexportable(variables: Mapping[str, str]) -> list[str]:
    """Return ``env NAME=VALUE …`` for names that a shell cannot export, as those of bash's exported functions."""
    words = [f"{name}={value}" for name, value in variables.items() if not name.isidentifier()]
    return ["env", *words] if words else []


def head(path: Path) -> bytes:
    """Read as much of a payload's standard output as an answer may have; nothing if there is no file."""
    try:
        with path.open("rb") as file:
            return file.read(STDOUT_CAP)
    except OSError:
        return b""


def tail(path: Path) -> str:
    """Read the end of a file of messages; nothing if there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - STDERR_CAP))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
