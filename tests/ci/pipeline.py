"""A project with a generated pipeline, which gitlab-ci-local runs as a GitLab runner with a shell would."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.needs import need

ROOT = Path(__file__).resolve().parents[2]
EXAWORKS = [sys.executable, "-I", "-m", "exaworks_sdk"]
JOB_LINE = re.compile(r"^ (PASS|WARN|FAIL) +(?:\[[\w-]+\] -> )?([\w-]+)")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LIMIT = 240

BOX = """
system: test/box
description: A machine for tests
local: {allowed: true, cores: 2}
deployment: DEPLOYMENT
"""


def environ(**more: str) -> dict[str, str]:
    """Return the environment of a fresh shell."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "CI_", "SLURM", "PYTEST", "COV"))}
    return {**kept, **more}


@dataclass
class PipelineResult:
    """The result of gitlab-ci-local: its exit code, the result of each job, and its output."""

    code: int
    jobs: dict[str, str]
    output: str


@dataclass
class Project:
    """A repository that contains only a generated pipeline for ``test/box``, whose site file is ``site``."""

    folder: Path
    site: str = BOX
    deployment: str = "path"
    tier: str = "smoke"
    variables: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    """Variables that the runner does not set."""

    def __post_init__(self) -> None:
        self.path = self.folder / "project"
        self.home = self.folder / "home"
        self.sites = self.folder / "sites"
        self.program = self.folder / "exaworks"
        self.path.mkdir()
        self.program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m exaworks_sdk "$@"\n')
        self.program.chmod(0o700)
        self.write_site(self.site)
        (self.path / ".gitignore").write_text(".gitlab-ci-local*\nresults/\n")
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "origin", "https://gitlab.example.org/exaworks/sdk.git")
        self.commit()

    @property
    def environ(self) -> dict[str, str]:
        return environ(EXAWORKS_SITES=str(self.sites))

    @property
    def runs(self) -> Path:
        return self.home / "test-box" / "runs"

    def write_site(self, text: str) -> None:
        path = self.sites / "test" / "box.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).replace("DEPLOYMENT", self.deployment))

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=self.path, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "state")

    def exaworks(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*EXAWORKS, *arguments],
            cwd=self.path,
            env={**self.environ, **self.variables, "EXAWORKS_HOME": str(self.home / "test-box")},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    def generate(self, *options: str) -> Path:
        """Generate the pipeline of the box as the project's pipeline."""
        done = self.exaworks("ci", "generate", "--site", "test/box", "--to", ".gitlab-ci.yml", *options)
        assert done.returncode == 0, done.stderr
        self.commit()
        return self.path / ".gitlab-ci.yml"

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start the pipeline as a runner would, in a work tree without the results of an earlier pipeline."""
        shutil.rmtree(self.path / "results", ignore_errors=True)
        values = {"EXAWORKS": str(self.program), "EXAWORKS_CI_HOME": str(self.home), "EXAWORKS_TIER": self.tier}
        values |= self.variables
        values = {name: value for name, value in values.items() if name not in self.unset}
        lines = [f'{name}: {{type: variable, values: {{"*": {json.dumps(value)}}}}}' for name, value in values.items()]
        (self.path / ".gitlab-ci-local-variables.yml").write_text("\n".join(lines) + "\n")
        return subprocess.Popen(
            [need("gitlab-ci-local"), "--force-shell-executor", "--no-color", *options],
            cwd=self.path,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str) -> PipelineResult:
        """Run the pipeline to its end."""
        process = self.start(*options)
        try:
            output, _ = process.communicate(timeout=LIMIT)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return read_output(process.returncode, output)

    def verdict(self) -> dict[str, Any]:
        verdict: dict[str, Any] = json.loads((self.path / "results" / "verdict.json").read_bytes())
        return verdict

    def artifacts(self) -> set[str]:
        """Return the files that GitLab would keep, as paths in the work tree."""
        kept = self.path / ".gitlab-ci-local" / "artifacts"
        return {str(Path(*path.relative_to(kept).parts[1:])) for path in kept.rglob("*") if path.is_file()}


def read_output(code: int, output: str) -> PipelineResult:
    """Read the summary at the end of each pipeline; that of a child is before its parent's."""
    lines = [COLOURS.sub("", line) for line in output.splitlines()]
    jobs = {match[2]: match[1] for line in lines if (match := JOB_LINE.match(line))}
    return PipelineResult(code, jobs, "\n".join(lines))


@dataclass
class Collector:
    """A collector, which may have ended."""

    folder: Path
    url: str
    token: str

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Query the database file directly, which also works if the collector has ended."""
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(self.folder / "collector.db")) as connection:
            return connection.execute(statement).fetchall()


@contextmanager
def collector(folder: Path, port: int = 0) -> Iterator[Collector]:
    """Run a real collector on the loopback interface."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready.json"
    token_file = folder / "token"
    command = [*EXAWORKS, "collector", "serve", "--port", str(port), "--database", str(folder / "collector.db")]
    process = subprocess.Popen(
        [*command, "--ready-file", str(ready), "--token-file", str(token_file), "--exit-with", str(os.getpid())],
        env=environ(EXAWORKS_HOME=str(folder / "home")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    listening = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if line.startswith("collector at"):
                listening.set()
        listening.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert listening.wait(60), lines
        assert ready.is_file(), lines
        yield Collector(folder, json.loads(ready.read_text())["url"], token_file.read_text().strip())
    finally:
        process.terminate()
        process.wait(30)
        reader.join(10)
        assert process.stderr is not None
        process.stderr.close()
