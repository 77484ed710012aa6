"""The files a batch job of the harness is made of: its script, and the bounded reading of what it leaves."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdk_tests.execution.marked_processes import MARK
from sdk_tests.execution.messages import InnerSetup, LaunchRequest, Setup
from sdk_tests.execution.process_table import STDERR_CAP, STDOUT_CAP


@dataclass(frozen=True)
class Place:
    """The allocation a job gets: nodes, cores of each, and the scheduler that is started in it."""

    nodes: int
    cores: int
    inner: InnerSetup | None = None

    def opening(self) -> list[str]:
        """Return the first lines of the job's script."""
        variables = self.inner.variables if self.inner else {}
        return ["#!/bin/sh", *exports(variables)]

    def around(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs ``argv`` under the scheduler that is started here, or ``argv`` itself."""
        if self.inner is None:
            return [*argv]
        values = {"{nodes}": self.nodes, "{cores}": self.cores, "{gpus}": self.inner.gpus}
        words = list(self.inner.start)
        for name, value in values.items():
            words = [word.replace(name, f"{value}") for word in words]
        return [*words, *argv]


def exports(variables: Mapping[str, str]) -> list[str]:
    """Return the lines that set variables, but for those that are a shell's functions."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if name.isidentifier()]


def shared_script(folder: Path, requests: Sequence[LaunchRequest], slots: int, setup: Setup, place: Place) -> str:
    """Write what the agent is to run beside it; return the script that starts the agent inside the allocation."""
    cases = [
        {
            "key": request.key,
            "argv": request.argv,
            "env": setup.deltas[request.env],
            "scratch": request.scratch,
            "walltime": request.walltime,
            "cores": request.cores,
            "mark": f"{setup.mark}/{request.key}",
        }
        for request in requests
    ]
    path = folder / "requests.json"
    path.write_text(json.dumps({"slots": slots, "cases": cases}), encoding="utf-8")
    agent = Path(__file__).with_name("agent.py")
    start = place.around([setup.python, "-I", str(agent), str(path)])
    return "\n".join([*place.opening(), f"exec {shlex.join(start)}"]) + "\n"


def own_script(folder: Path, request: LaunchRequest, setup: Setup, place: Place) -> str:
    """Return the script that runs one case in a job of its own, leaving the files the agent would leave."""
    variables = {**setup.deltas[request.env], MARK: f"{setup.mark}/{request.key}"}
    lines = [*place.opening(), *exports(variables)]
    base = shlex.quote(str(folder / "0"))
    lines += [
        f"cd {shlex.quote(request.scratch)} || exit 97",
        f": > {base}.started",
        "started=$(date +%s.%N)",
        f"{shlex.join(place.around(request.argv))} > {base}.out 2> {base}.err < /dev/null",
        "code=$?",
        'printf \'{"exit_code": %d, "started": %s, "ended": %s}\\n\' "$code" "$started" "$(date +%s.%N)" '
        f"> {base}.tmp && mv {base}.tmp {base}.json",
        'exit "$code"',
    ]
    return "\n".join(lines) + "\n"


def head(path: Path) -> bytes:
    """Read as much of a payload's standard output as an answer may have; nothing where there is no file."""
    try:
        with path.open("rb") as file:
            return file.read(STDOUT_CAP)
    except OSError:
        return b""


def tail(path: Path) -> str:
    """Read the end of a file of messages; nothing where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - STDERR_CAP))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
