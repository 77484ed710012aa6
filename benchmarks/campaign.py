"""Measure the robustness of the harness: runs of many tiny cases while answers of the scheduler are mutated at random,
and runs of which processes are killed at random. A run must leave no job and no process, must have a record of each
planned case, and must not be green although one of its cases fails.

python -m benchmarks.campaign answers [--kinds slurm lsf] [--mutations 500] [--seed 1]
python -m benchmarks.campaign kills [--kinds local slurm] [--kills 200] [--seed 1]

``answers``: shims before the scheduler's own commands delay, drop, garble, refuse, repeat and reorder answers of the
submit, status and cancel commands; each shim logs the mutation that it applied. The last third of a run is undisturbed.
``kills``: SIGKILL, SIGTERM or SIGINT for one to three processes of a run, chosen at random among harness, supervisor,
scheduler commands, agents and payloads, and then ``--resume last`` until the run is complete. The number of each run is
printed with its findings; ``--first N --runs 1`` repeats it alone, with the same random choices. Times differ from
machine to machine, so a repeated run is similar, not equal.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Watch
from benchmarks.results import Cell, publish

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("slurm", "flux", "pbs", "pbs-emulated", "lsf", "cobalt")
COMMANDS = {
    "slurm": {"submit": "sbatch", "status": "squeue", "cancel": "scancel"},
    "pbs": {"submit": "qsub", "status": "qstat", "cancel": "qdel"},
    "lsf": {"submit": "bsub", "status": "bjobs", "cancel": "bkill"},
    "cobalt": {"submit": "qsub", "status": "qstat", "cancel": "qdel"},
    "flux": {"submit": "flux", "status": "flux", "cancel": "flux"},
}
"""The commands whose answers are mutated. Flux has one program; its first argument names the command."""
MUTATED = 0.5
"""Probability that an answer is mutated while a run is disturbed."""
DISTURBED = 30.0
"""Seconds after the first command of a scheduler for which answers are mutated."""
RUN_LIMIT = 300.0
"""Seconds in which a run must end by itself."""
SHIM = r"""
import fcntl, json, os, random, subprocess, sys, time
REAL, NAME, STATE = sys.argv[1:4]
argv = sys.argv[4:]
with open(STATE, "r+") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    state = json.load(file)
    state["first"] = state["first"] or time.time()
    state["count"] += 1
    file.seek(0); file.truncate(); json.dump(state, file)
role = NAME
if NAME == "flux":
    role = {"batch": "submit", "jobs": "status", "cancel": "cancel"}.get(argv[0] if argv else "", "")
rng = random.Random(f"{state['seed']} {state['count']}")
if {"-Q", "--version"} & set(argv):  # whether the scheduler is there, which is asked before a run
    role = ""
active = role and time.time() - state["first"] < state["seconds"] and rng.random() < state["share"]
if not active:
    os.execv(REAL, [REAL, *argv])
WAYS = ["delay", "fail before", "fail after", "silent before", "silent after", "truncate", "bytes", "banner",
        "banner after", "repeat", "reorder", "time out"]
if role == "submit":
    WAYS += ["refuse"]
way = rng.choice(WAYS)
with open(STATE + ".log", "a") as log:
    log.write(json.dumps([state["count"], role, way]) + "\n")
if way == "delay":
    time.sleep(rng.uniform(0.05, 1.0))
    os.execv(REAL, [REAL, *argv])
if way in ("fail before", "refuse"):
    sys.exit(("error: Invalid account or account/partition combination specified" if way == "refuse" else
              "error: Unable to contact the controller: Connection refused"))
if way == "silent before":
    sys.exit(0)
done = subprocess.run([REAL, *argv], stdin=subprocess.DEVNULL, capture_output=True)
out, code = done.stdout, done.returncode
lines = out.splitlines(keepends=True)
if way == "fail after":
    sys.exit("error: Socket timed out on send/recv operation")
if way == "silent after":
    sys.exit(0)
if way == "time out":
    time.sleep(rng.uniform(1.0, 4.0) if rng.random() < 0.9 else 40.0)
    sys.exit("error: timed out")
if way == "truncate":
    out = out[: rng.randint(0, len(out))]
elif way == "bytes":
    at = rng.randint(0, len(out))
    out = out[:at] + rng.choice([b"\0", b"\xff\xfe", b"\x1b[31m", b"|", b'"', b"{", b"\r"]) + out[at:]
elif way == "banner":
    out = b"*** Maintenance on Tuesday ***\n" + out
elif way == "banner after":
    out = out + b"lost connection 42\n"
elif way == "repeat":
    out = out + out
elif way == "reorder":
    rng.shuffle(lines)
    out = b"".join(lines)
sys.stdout.buffer.write(out)
sys.stdout.flush()
sys.stderr.buffer.write(done.stderr)
sys.exit(code if code >= 0 else 1)
"""
COMPONENT = "from sdk_tests.plan.components import ComponentKind\nPYTHON = ComponentKind('python', command='python3')\n"
SITE = """
system: test/campaign
description: A machine for robustness campaigns
local: {{allowed: true, cores: 4}}
deployment: venv:{prefix}
redaction: full
limits: {{queue_wait: 00:01:00, infra_retries: 1}}
schedulers: {schedulers}
"""
PAYLOAD = """
import json, sys, time
request = json.loads(sys.argv[1])
time.sleep(request["params"]["seconds"])
if request["params"]["fails"]:
    sys.exit("this payload fails")
print("{}")
"""
CASES = """
from sdk_tests.api import case

@case(payload={payload!r}, component="python", name="{name}", where={where!r}, walltime=60.0, schedulers=({kind!r},),
      params={{"seconds": {seconds}, "fails": False}}, variants={{f"n={{n:02d}}": {{}} for n in range({count})}})
def test_{name}(outcome):
    assert outcome.exit_code == 0
"""
FAILING = """
from sdk_tests.api import case

@case(payload={payload!r}, component="python", name="fails", where={where!r}, walltime=60.0, schedulers=({kind!r},),
      params={{"seconds": 0.2, "fails": True}})
def test_fails(outcome):
    assert outcome.exit_code == 0
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass
class Figures:
    """What the runs of one kind left or lost; ``findings`` has a line for each defect, with the number of the run."""

    kind: str
    mutations: int = 0
    runs: int = 0
    jobs: int = 0
    processes: int = 0
    missing: int = 0
    wrong: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def defects(self) -> int:
        return self.jobs + self.processes + self.missing + self.wrong

    def row(self) -> list[Cell]:
        return [self.kind, self.mutations, self.runs, self.jobs, self.processes, self.missing, self.wrong]


class Campaign:
    """A site with at most one testbed, tiny cases on it, and runs of them. kind: the name of a testbed, or local."""

    def __init__(self, kind: str, folder: Path, seed: int) -> None:
        from sdk_tests.schedulers.registry import kinds
        from sdk_tests.testbeds import manage

        self.name, self.folder, self.seed = kind, folder, seed
        self.testbed = None
        plugin = folder / "plugin"
        info = plugin / "bench-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[exaworks.components]\npython = bench_component:PYTHON\n")
        (plugin / "bench_component.py").write_text(COMPONENT)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV", "PBS"))}
        self.env = {**kept, "PYTHONPATH": f"{plugin}:{ROOT}", "EXAWORKS_HOME": str(folder / "home")}
        self.kind, entries = None, "[]"
        if kind != "local":
            import msgspec

            self.testbed = manage.up(kind, folder / "t", nodes=2, cores=8, owner_pid=os.getpid())
            self.env = manage.environment(self.testbed, self.env)
            entries = msgspec.json.encode([self.testbed.scheduler]).decode()
            spec = self.testbed.scheduler
            self.kind = kinds()[spec.kind](spec, self._without_shims())
        self.scheduler = self.kind.kind if self.kind else "local"
        (folder / "site.yaml").write_text(SITE.format(prefix=sys.prefix, schedulers=entries))
        (folder / "payload.py").write_text(PAYLOAD)
        (folder / "pytest.ini").write_text("[pytest]\n")
        self.figures = Figures(kind)

    def close(self) -> None:
        from sdk_tests.testbeds import manage

        if self.testbed is not None:
            manage.down(self.folder / "t", self.testbed.id)

    def _without_shims(self) -> dict[str, str]:
        assert self.testbed is not None
        shims = self.shims
        path = [part for part in self.env["PATH"].split(os.pathsep) if Path(part) != shims]
        return {**self.env, "PATH": os.pathsep.join(path)}

    @property
    def shims(self) -> Path:
        assert self.testbed is not None
        return Path(self.testbed.env["PATH+"].partition(os.pathsep)[0])

    def cases(self, rng: random.Random, *, seconds: float) -> None:
        """Write the cases: in shared allocations, in jobs of their own, beside the scheduler, and one that fails."""

        def values(name: str, where: str, count: int) -> dict[str, object]:
            duration = round(rng.uniform(0.1, seconds), 2)
            payload = str(self.folder / "payload.py")
            return {"payload": payload, "kind": self.scheduler, "name": name, "where": where, "count": count,
                    "seconds": duration}  # fmt: skip

        wheres = [("job", 6)] if self.kind is None else [("job", 10), ("allocation", 4), ("login", 2)]
        text = "".join(CASES.format(**values(where, where, count)) for where, count in wheres)
        text += FAILING.format(**values("fails", "job", 1))
        (self.folder / "test_campaign_cases.py").write_text(text)

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", "-p", "no:cacheprovider", "--no-upload"]
        command += ["--site", "test/campaign", "--site-file", "site.yaml", "--scheduler", self.scheduler, *more]
        modules = ["--pyargs", "sdk_tests.integration.test_control"] if self.kind else []
        with (self.folder / "output.log").open("ab") as output:
            return subprocess.Popen(
                [*command, *modules, "test_campaign_cases.py"],
                env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    # -- what a run left ----------------------------------------------------------------------------------------------

    def queue(self) -> list[str]:
        """Return the jobs in the queue, asked with the scheduler's own command."""
        from sdk_tests.schedulers import CommandFailed
        from sdk_tests.schedulers.commands import run_command

        if self.kind is None:
            return []
        argv = self.kind.own_jobs_argv() or []
        for _ in range(5):
            with contextlib.suppress(CommandFailed):
                return list(self.kind.parse_own_jobs(run_command(argv, self.kind.env)))
            time.sleep(1)
        raise RuntimeError(f"{self.name}: the scheduler of the testbed does not answer: {shlex.join(argv)}")

    def processes(self) -> list[tuple[int, str]]:
        """Return the processes of cases, and the supervisors and agents of this campaign's runs."""
        home = str(self.folder / "home")
        kept = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                variables = (entry / "environ").read_bytes()
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if not line:
                    continue
                works = str((entry / "cwd").readlink())
            except OSError:
                continue
            marked = b"EXAWORKS_CASE_MARK=" in variables and home.encode() in variables
            ours = "sdk_tests.execution.supervisor" in line and f"EXAWORKS_HOME={home}".encode() in variables
            if marked or ours or works.startswith(home) or f"{home}/runs" in line:
                kept.append((int(entry.name), line))
        return kept

    def check(self, number: int, code: int | None) -> bool:
        """Count what the last run left and lost, give leavings a few seconds to go, and remove what stays."""
        from dashboard_client.runs import RunFolder

        figures, findings = self.figures, []
        deadline = time.monotonic() + 15
        while True:
            jobs, processes = self.queue(), self.processes()
            if not (jobs or processes) or time.monotonic() > deadline:
                break
            time.sleep(0.3)
        if jobs:
            findings.append(f"jobs left: {', '.join(jobs)}")
            if self.kind is not None:
                subprocess.run(self.kind.cancel_argv(jobs), env=self.kind.env, capture_output=True, check=False)
        if processes:
            findings.append("processes left: " + "; ".join(f"{pid} {line[:200]}" for pid, line in processes))
            for pid, _ in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        runs = sorted((self.folder / "home" / "runs").glob("*/manifest.json"))
        missing: list[str] = []
        wrong: list[str] = []
        if runs:
            run = RunFolder(runs[-1].parent)
            effective = run.effective()
            missing = [case.case_id for case in run.manifest.planned if case.case_id not in effective]
            missing += [case_id for case_id, record in effective.items() if not record.retries.final]
            wrong = [
                case_id
                for case_id, record in effective.items()
                if case_id.startswith("python/fails") and record.verdict.outcome.value == "pass"
            ]
        else:
            missing = ["the run was not opened"]
        if missing:
            findings.append(f"cases without a final record: {', '.join(missing)}")
        if wrong or code == 0:
            findings.append(f"green although a case fails: exit code {code} {' '.join(wrong)}")
        figures.runs += 1
        figures.jobs += len(jobs)
        figures.processes += len(processes)
        figures.missing += len(missing)
        figures.wrong += len(wrong) or int(code == 0)
        figures.findings += [f"{self.name}, seed {self.seed}, run {number}: {line}" for line in findings]
        for line in findings:
            print(f"{self.name} run {number}: {line}", flush=True)
        return not findings

    def forget(self, number: int, keep: bool) -> None:
        """Remove the files of a run, or keep them beside the others if it showed a defect."""
        if keep:
            kept = Path(tempfile.gettempdir()) / f"campaign-{self.name}-{self.seed}-{number}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self.folder / "home" / "runs", kept / "runs", symlinks=True, dirs_exist_ok=True)
            for name in ("output.log", "state.json.log"):
                with contextlib.suppress(OSError):
                    shutil.copy(self.folder / name, kept)
            print(f"{self.name} run {number}: its files are kept in {kept}", flush=True)
        shutil.rmtree(self.folder / "home" / "runs", ignore_errors=True)
        (self.folder / "output.log").unlink(missing_ok=True)

    # -- mutated answers ----------------------------------------------------------------------------------------------

    def answers(self, number: int) -> None:
        """Make one run while answers are mutated."""
        rng = random.Random(f"{self.seed} {self.name} {number}")
        self.cases(rng, seconds=4.0)
        state = self.folder / "state.json"
        seconds = round(rng.uniform(0.5, 1.0) * DISTURBED, 1)
        share = MUTATED * rng.uniform(0.5, 1.5)
        seed = rng.randrange(1 << 30)
        state.write_text(json.dumps({"seed": seed, "count": 0, "first": 0, "seconds": seconds, "share": share}))
        log = self.folder / "state.json.log"
        log.unlink(missing_ok=True)
        shims = self._write_shims(state)
        process = self.start()
        code = self._wait(process)
        for shim in shims:
            shim.unlink()
        if log.exists():
            self.figures.mutations += len(log.read_text().splitlines())
        good = self.check(number, code)
        self.forget(number, not good)

    def _write_shims(self, state: Path) -> list[Path]:
        from sdk_tests.schedulers.commands import find

        program = self.folder / "shim.py"
        program.write_text(SHIM)
        shims = []
        commands = COMMANDS[self.scheduler]
        for role, command in commands.items():
            shim = self.shims / command
            if shim in shims:
                continue
            real = find(command, self._without_shims(), "/opt/pbs/bin")
            assert real is not None, f"{command} is not on PATH"
            words = [sys.executable, "-I", "-S", str(program), real]
            words += ["flux" if command == "flux" else role, str(state)]
            shim.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            shim.chmod(0o755)
            shims.append(shim)
        return shims

    def _wait(self, process: subprocess.Popen[bytes]) -> int | None:
        """Return the exit code of a run; None if it had to be killed."""
        try:
            return process.wait(RUN_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None

    # -- kills --------------------------------------------------------------------------------------------------------

    def kills(self, number: int) -> None:
        """Make one run, kill processes of it at random times, and resume it until it is complete."""
        rng = random.Random(f"{self.seed} {self.name} {number}")
        self.cases(rng, seconds=3.0)
        code: int | None = None
        arguments: tuple[str, ...] = ()
        killed: list[str] = []
        for session in range(6):
            process = self.start(*arguments)
            if session < 2:
                for _ in range(rng.randint(1, 4)):
                    killed += self._kill(process, rng, rng.uniform(0.2, 5.0))
            code = self._wait(process)
            manifests = list((self.folder / "home" / "runs").glob("*/manifest.json"))
            if not manifests:
                continue
            arguments = ("--resume", "last")
            if self._complete():
                break
        good = self.check(number, code)
        if not good:
            self.figures.findings.append(f"{self.name}, run {number} killed: {'; '.join(killed)}")
        self.forget(number, not good)

    def _complete(self) -> bool:
        from dashboard_client.runs import RunFolder

        runs = sorted((self.folder / "home" / "runs").glob("*/manifest.json"))
        closed = RunFolder(runs[-1].parent).manifest.closed
        return closed is not None and closed.state == "complete"

    def _kill(self, process: subprocess.Popen[bytes], rng: random.Random, after: float) -> list[str]:
        """Send a signal to a process of the run, of a kind that is chosen first, so that each kind is hit often."""
        if rng.random() < 0.9:  # otherwise at any time, also before the run has begun
            while process.poll() is None and not any(_role(line) == "supervisor" for _, line in _below(process.pid)):
                time.sleep(0.05)
        until = time.monotonic() + after
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.02)
        groups: dict[str, list[int]] = {}
        for pid, line in [*self.processes(), *_below(process.pid)]:
            groups.setdefault(_role(line), []).append(pid)
        if process.poll() is None:
            groups["harness"] = [process.pid]
        if not groups:
            return []
        minor = sorted(groups.keys() - {"harness", "supervisor"})
        role = rng.choice(minor if minor and rng.random() < 0.5 else sorted(groups))
        victims = [(role, rng.choice(sorted(groups[role])))]
        if role == "harness" and rng.random() < 0.5 and groups.get("supervisor"):  # nothing is left that cleans up
            victims.append(("supervisor", groups["supervisor"][0]))
        number = rng.choice(SIGNALS)
        for _, pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                self.figures.mutations += 1
        return [f"{signal.Signals(number).name} for {name} after {after:.1f} s" for name, _ in victims]


def _role(line: str) -> str:
    names = {"execution.supervisor": "supervisor", "execution/agent.py": "agent", "payload.py": "payload"}
    return next((role for text, role in names.items() if text in line), "command")


def _below(pid: int) -> list[tuple[int, str]]:
    """Return all processes below a process, with their command lines."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    below, waiting = [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            waiting.append(child)
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if line.strip():
                    below.append((child, line.strip()))
    return below


def campaign(
    command: str, kinds: Iterable[str], wanted: int, seed: int, *, first: int = 1, runs: int | None = None
) -> list[Figures]:
    """Run a campaign on each kind until ``wanted`` mutations or kills were applied, or ``runs`` runs were made."""
    results = []
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp", ignore_cleanup_errors=True) as name:
            one = Campaign(kind, Path(name), seed)
            try:
                number = first
                while one.figures.mutations < wanted and (runs is None or number < first + runs):
                    (one.answers if command == "answers" else one.kills)(number)
                    number += 1
                    print(f"{kind}: {one.figures.runs} runs, {one.figures.mutations} of {wanted}", flush=True)
            finally:
                one.close()
            results.append(one.figures)
    return results


def testbeds() -> list[str]:
    """Return the kinds of testbeds that this machine can have."""
    from sdk_tests.testbeds import manage

    available = [kind for kind in KINDS if manage.kind_of(kind).absent() is None]
    if "pbs" in available and manage.kind_of("pbs-emulated").absent() is None and _no_real_pbs():
        available.remove("pbs")
    return available


def _no_real_pbs() -> bool:
    from sdk_tests.testbeds.openpbs import OpenPbsTestbed

    return OpenPbsTestbed().absent() is not None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, option, default, kinds in (
        ("answers", "--mutations", 500, None),
        ("kills", "--kills", 200, ["local", "slurm"]),
    ):
        sub = commands.add_parser(command)
        sub.add_argument(
            "--kinds", nargs="+", default=kinds, metavar="KIND", help="default: all that are possible here"
        )
        sub.add_argument(option, dest="wanted", type=int, default=default, metavar="N", help="on each kind")
        sub.add_argument("--seed", type=int, default=1)
        sub.add_argument("--first", type=int, default=1, metavar="N", help="number of the first run")
        sub.add_argument("--runs", type=int, metavar="N", help="at most N runs on each kind")
    options = parser.parse_args(arguments)
    watch, kinds = Watch(), options.kinds or testbeds()
    results = campaign(options.command, kinds, options.wanted, options.seed, first=options.first, runs=options.runs)
    for figures in results:
        for line in figures.findings:
            print(line)
    applied = "mutations" if options.command == "answers" else "kills"
    headers = ("kind", applied, "runs", "jobs left", "processes left", "missing records", "wrong greens")
    rows = [figures.row() for figures in results]
    publish(f"campaign-{options.command}", headers, rows, watch.load(), notes=[f"Seed {options.seed}."])
    sys.exit(1 if any(figures.defects for figures in results) else 0)


if __name__ == "__main__":
    main()
