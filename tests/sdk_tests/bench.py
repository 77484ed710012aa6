"""A test bench for the harness: a site of its own, payloads of a few lines, and the harness run as users run it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboard_client.runs import RunFolder
from dashboard_client.schema import Record

ROOT = Path(__file__).resolve().parents[2]

SITE = """
system: test/box
description: A machine for tests
local: {allowed: true, cores: 4}
deployment: DEPLOYMENT
redaction: full
limits: {queue_wait: 00:00:30, infra_retries: RETRIES}
"""

ANSWER = """
import json, sys
request = json.loads(sys.argv[1])
print(json.dumps({"params": request["params"]}))
"""


@dataclass
class Bench:
    """``case`` adds a case; ``run`` runs all of them with plain pytest and returns the result.

    site_additions: YAML text that is appended to the site file.
    """

    folder: Path
    site: str = SITE
    retries: int = 0
    cases: list[str] = field(default_factory=list)
    site_additions: str = ""
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def payload(self, name: str, source: str = ANSWER) -> Path:
        path = self.folder / f"{name}.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    def case(
        self, name: str, source: str = ANSWER, body: str = "pass", *, component: str = "python", **declared: Any
    ) -> str:
        """Add a case and return its id on ``local``."""
        path = self.payload(name, source)
        arguments = ", ".join(f"{key}={value!r}" for key, value in declared.items())
        self.cases.append(
            f"@case(payload={str(path)!r}, component={component!r}, name={name!r}, {arguments})\n"
            f"def test_{name}(outcome):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        )
        return f"{component}/{name}@local"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def environ(self) -> dict[str, str]:
        """Return the environment of a new shell, with a component ``python`` that every deployment contains."""
        plugin = self.folder / "plugin"
        info = plugin / "bench-1.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[exaworks.components]\npython = bench_component:PYTHON\n")
        (plugin / "bench_component.py").write_text(
            "from sdk_tests.plan.components import ComponentKind\nPYTHON = ComponentKind('python', command='python3')\n"
        )
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV"))}
        return {**kept, "PYTHONPATH": f"{plugin}:{ROOT}", "EXAWORKS_HOME": str(self.home)}

    def command(self, *arguments: str) -> list[str]:
        site = self.folder / "site.yaml"
        text = self.site.replace("DEPLOYMENT", f"venv:{sys.prefix}").replace("RETRIES", str(self.retries))
        site.write_text(text + self.site_additions, encoding="utf-8")
        module = self.folder / "test_bench_cases.py"
        module.write_text("from sdk_tests.api import Fixture, case\n\n" + "\n\n".join(self.cases), encoding="utf-8")
        (self.folder / "pytest.ini").write_text("[pytest]\n")
        fixed = [sys.executable, "-m", "pytest", "-c", str(self.folder / "pytest.ini"), "-p", "no:cacheprovider"]
        return [*fixed, "--site", "test/box", "--site-file", str(site), "--no-upload", str(module), *arguments]

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        """Start the harness and return at once."""
        process = subprocess.Popen(
            self.command(*arguments),
            env={**self.environ(), **extra},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """Kill the processes that a failed test did not end; their supervisors then clean up."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def run(self, *arguments: str, **extra: str) -> RunResult:
        process = self.start(*arguments, **extra)
        output, _ = process.communicate(timeout=180)
        return self.result(process.returncode, output)

    def result(self, code: int, output: str) -> RunResult:
        """Return the result of the last run in the state folder."""
        runs = sorted((self.home / "runs").glob("*/manifest.json"))
        return RunResult(code, output, RunFolder(runs[-1].parent) if runs else None)


@dataclass
class RunResult:
    """The result of a run: exit code, output, and the folder of the run, if it was opened."""

    code: int
    output: str
    folder: RunFolder | None

    @property
    def run(self) -> RunFolder:
        assert self.folder is not None, self.output
        return self.folder

    def records(self, case_id: str) -> list[Record]:
        return [record for record in self.run.records() if record.case_id == case_id]

    def only(self, case_id: str) -> Record:
        (record,) = self.records(case_id)
        return record

    def verdict(self, case_id: str) -> tuple[str, str, str] | tuple[str]:
        """Return the outcome of the only record of a case, and the class and rule of its cause if it did not pass."""
        verdict = self.only(case_id).verdict
        if verdict.cause is None:
            return (verdict.outcome.value,)
        return verdict.outcome.value, verdict.cause.cls.value, verdict.cause.rule

    def evidence(self, case_id: str) -> str:
        cause = self.only(case_id).verdict.cause
        assert cause is not None
        return cause.evidence
