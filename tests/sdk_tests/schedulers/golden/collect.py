"""Collect real answers of a scheduler from a testbed and write them as golden files beside this module.

python -m tests.sdk_tests.schedulers.golden.collect slurm flux pbs lsf cobalt

A sample is a JSON file: the method that parses the answer, the command, its exit code, and its output, line by line.
Paths and host names of the machine are replaced.

``openlava`` is no testbed: its daemons must run, its commands be on PATH, and LSF_ENVDIR name its configuration. Its
answers are written as ``lsf-classic-*``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sdk_tests.schedulers import CommandFailed, CommandResult, JobSpec, JobState, SchedulerKind
from sdk_tests.schedulers.lsf import LsfKind
from sdk_tests.schedulers.registry import kinds
from sdk_tests.testbeds import manage
from site_configs.schema import SchedulerSpec
from tests.needs import need
from tests.sdk_tests.schedulers.samples import Sample, replaced_commands

FOLDER = Path(__file__).parent
ODD = {
    "NUMBER_WITH_ZEROS": "007",
    "COMMA": "a\\,b",
    "QUOTES": 'he said "no" and \\left',
    "BRACES": '{"a": [1}',
    "SPACES": "  two  words ",
    "UMLAUT": "Zürich €",
    "EMPTY": "",
}
"""Variables of a job, which qstat prints."""


class Collector:
    """One scheduler and the samples that it gave: a testbed, or an OpenLava that runs already."""

    def __init__(self, name: str, home: Path) -> None:
        self.folder = home / "jobs with a space"
        self.folder.mkdir()
        self.wide = 2
        clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
        if name == "openlava":
            self._use_openlava(home, clean)
        else:
            self._start_testbed(name, home, clean)

    def _use_openlava(self, home: Path, clean: dict[str, str]) -> None:
        program = need("openlava")
        prefix = str(Path(program).parent)
        self.env = {**clean, "PATH": f"{prefix}:{clean['PATH']}", "LSF_ENVDIR": os.environ["LSF_ENVDIR"]}
        self.kind: SchedulerKind = LsfKind(SchedulerSpec(kind="lsf", default_queue="normal"), self.env)
        self.version = self.kind.probe().version
        self.replacements = [(str(self.folder), "/scratch/my jobs"), (str(home), "/home/user"), (prefix, "/usr/bin")]
        self.prefix, self.wide = "lsf-classic", 1  # it has one host
        self.stop: Callable[[], None] = lambda: None

    def _start_testbed(self, name: str, home: Path, clean: dict[str, str]) -> None:
        self.testbed = manage.up(name, home, nodes=2, cores=4, owner_pid=os.getpid())
        self.env = manage.environment(self.testbed, clean)
        self.kind = kinds()[self.testbed.scheduler.kind](self.testbed.scheduler, self.env)
        self.version = self.testbed.version
        self.stop = lambda: manage.down(home, self.testbed.id)
        flux = Path(self.testbed.env.get("PATH+", "").rpartition(os.pathsep)[2]).parent
        self.replacements = [
            *((str(self.testbed.folder), "/testbed"), (str(self.folder), "/scratch/my jobs")),
            (str(home), "/home/user"),
            *([(str(flux), "/usr")] if self.testbed.kind == "flux" else []),
        ]
        self.prefix = name

    def run(self, argv: Sequence[str]) -> CommandResult:
        env = {**self.env, **ODD}
        done = subprocess.run(argv, env=env, cwd=self.folder, capture_output=True, timeout=30, check=False)
        out, err = (output.decode(errors="replace") for output in (done.stdout, done.stderr))
        return CommandResult(tuple(argv), done.returncode, out, err)

    def sample(self, name: str, method: str, done: CommandResult) -> None:
        def clean(text: str) -> str:
            for path, replacement in self.replacements:
                text = text.replace(path, replacement)
            return re.sub(rf"\b{re.escape(platform.node())}\b", "login1", text)

        argv = tuple(map(clean, done.argv))
        Sample(method, CommandResult(argv, done.exit_code, clean(done.stdout), clean(done.stderr))).write(
            FOLDER / f"{self.prefix}-{name}.json"
        )

    def submit(self, name: str, body: str, nodes: int = 1, walltime: float = 60.0) -> CommandResult:
        script = self.folder / f"{name}.sh"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        output = self.folder / f"{name}.out"
        spec = JobSpec(name, script, output, nodes, walltime, self.kind.spec.default_queue, None, 4)
        return self.run(self.kind.submit_argv(spec))

    def collect(self) -> None:
        """Submit jobs that end in different ways, and ask about them while some run and after all have ended."""
        kind, ids = self.kind, []
        sleeping = "sleep 20"
        for name, body in (("good", "true"), ("bad", "exit 3"), ("killed", "kill -9 $$"), ("to cancel", sleeping)):
            done = self.submit(name, body)
            ids.append(kind.parse_submit(done))
            if name == "good":
                self.sample("submitted", "parse_submit", done)
        self.sample("refused", "parse_submit", self.submit("too-big", "true", nodes=99))
        time.sleep(3)
        self.run(kind.cancel_argv(ids[-1:]))
        ids += [kind.parse_submit(self.submit("two nodes", sleeping, nodes=self.wide))]
        self._until_running(ids[-1])
        ids += [kind.parse_submit(self.submit("waiting", sleeping, nodes=self.wide))]
        self._sample_status("status", ids)
        self._sample_status("status-of-one", ids[-2:-1])
        self._sample_status("status-unknown", [ids[0].replace(ids[0].split(".")[0], "999999")])
        own = kind.own_jobs_argv()
        if own:
            self.sample("own-jobs", "parse_own_jobs", self.run(own))
        accounting = kind.accounting_argv(ids)
        if accounting:
            self.sample("accounting", "parse_accounting", self.run(accounting))
        if kind.job_variable:
            asked: list[CommandResult] = []

            def record(argv: Sequence[str], *_: object) -> CommandResult:
                asked.append(self.run([kind.env.get("COMMAND", argv[0]), *argv[1:]]))
                return asked[-1]

            with replaced_commands(record):
                kind.allocation_of({kind.job_variable: ids[-2]})
            self.sample("allocation", "allocation_of", asked[-1])
        for job_id in ids[-2:]:
            self.run(kind.cancel_argv([job_id]))
        time.sleep(3)
        self._sample_status("status-ended", ids)
        if own:
            self.sample("own-jobs-none", "parse_own_jobs", self.run(own))

    def _sample_status(self, name: str, ids: Sequence[str]) -> None:
        self.sample(name, "parse_status", self.run(self.kind.status_argv(ids)))

    def _until_running(self, job_id: str) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                statuses = self.kind.parse_status(self.run(self.kind.status_argv([job_id])))
            except CommandFailed:
                statuses = {}
            if any(status.state is JobState.RUNNING for status in statuses.values()):
                return
            time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="+")
    for name in parser.parse_args().kinds:
        with tempfile.TemporaryDirectory(prefix="golden-", dir="/tmp") as home:
            collector = Collector(name, Path(home))
            try:
                collector.collect()
                print(json.dumps({"kind": name, "version": collector.version}))
            finally:
                collector.stop()


if __name__ == "__main__":
    main()
