"""A system of a site file on this machine: its scheduler, a user's home, its project on GitLab and its runners.

What a facility has and this machine does not is left out of the site file: modules, the proxy, the collector, the work
directory, Spack. Queues, limits, directives and the account stay, and so does the name. The scheduler is a testbed of
the system, real Slurm or Flux where installed, otherwise an emulator; where there is neither, cases run on ``local``.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ci.system import slug
from sdk_tests.testbeds import Testbed, manage
from sdk_tests.testbeds.site_profile import SiteProfile
from site_configs.load import find
from site_configs.schema import Collector, Detect, Limits, LocalUse, Modules, Network, System
from tests.ci.runner.agent import __file__ as agent_file
from tests.ci.runner.gitlab import GitLab
from tests.ci.runner.pipeline import Job, Pipeline
from tests.needs import NEEDS

ROOT = Path(__file__).resolve().parents[3]
USER = "ciuser"
BANNER = "Welcome. Unauthorized use is prohibited."
"""What the user's login shell prints on standard output, before anything of the job."""
LIMIT = 600.0
CASES = """
from sdk_tests import EVERY, Outcome, case


@case(payload="quick.py", component="psij", schedulers=EVERY, tier="smoke", params={"hold": "HOLD"})
def test_a_job_answers(outcome: Outcome) -> None:
    assert outcome.answer == {"expected": True}
"""
PAYLOAD = """
import json, pathlib, sys, time

hold = pathlib.Path(json.loads(sys.argv[1])["params"]["hold"])
hold.with_name("running").touch()
while hold.exists():
    time.sleep(0.05)
print(json.dumps({"expected": not hold.with_name("fail").exists()}))
"""
_KINDS = {"pbs": "pbs-emulated"}
"""Kinds of testbeds to use instead of that of the scheduler, so that the same one runs on every machine."""
_PR_SET_PDEATHSIG = 1


@dataclass
class Site:
    """One system with its GitLab. ``scheduler`` is the kind of its testbed, or ``local``."""

    system: System
    folder: Path
    gitlab: GitLab
    scheduler: str
    runners: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The folder of environments and runs that all pipelines share."""
        return self.folder / "work" / slug(self.system)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def hold(self) -> Path:
        """While this file exists, the case of the project does not end."""
        return self.folder / "cases" / "hold"

    @property
    def running(self) -> Path:
        """The file that the case creates when it starts."""
        return self.hold.with_name("running")

    def start(self, text: str, variables: dict[str, str] | None = None, **options: Any) -> Pipeline:
        self.running.unlink(missing_ok=True)
        return self.gitlab.start(text, variables, **options)

    def finish(self, pipeline: Pipeline, limit: float = LIMIT) -> Pipeline:
        """Wait until a pipeline has ended, and return it."""
        ended = self.gitlab.wait(lambda: pipeline.status != "running", limit)
        assert ended, {name: (job.status, job.log[-1500:]) for name, job in pipeline.jobs.items()}
        return pipeline

    def wait_for(self, pipeline: Pipeline, name: str) -> Job:
        """Wait until the case of a job runs, and return the job."""
        started = self.gitlab.wait(lambda: self.running.exists() and pipeline.jobs[name].status == "running", LIMIT)
        assert started, {name: (job.status, job.log[-1500:]) for name, job in pipeline.jobs.items()}
        return pipeline.jobs[name]

    def add_runner(self, name: str, executor: str, tags: list[str]) -> None:
        """Register a runner and start it. The one of a name that exists takes its place, as after a restart."""
        token = f"glrt-{name}-{len(self.runners)}"
        self.gitlab.runners[token] = frozenset(tags)
        configuration = {
            "executor": executor,
            "data_dir": str(self.data),
            "user": USER,
            "home": str(self.folder / "home"),
            "arguments_variable": self.system.ci.scheduler_parameters or "SCHEDULER_PARAMETERS",
        }
        file = self.folder / f"{name}.jacamar.json"
        file.write_text(json.dumps(configuration))
        program = Path(agent_file).with_name("jacamar.py")
        runner = {"url": self.gitlab.url, "token": token, "driver": [sys.executable, "-I", str(program), str(file)]}
        own = self.folder / f"{name}.runner.json"
        own.write_text(json.dumps(runner))
        libc = ctypes.CDLL(None)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.runners[name] = subprocess.Popen(
                [sys.executable, "-I", agent_file, "run", str(own)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
            )

    def replace_runner(self, name: str) -> None:
        """Start a runner of the same kind as one that was lost."""
        content = json.loads((self.folder / f"{name}.jacamar.json").read_text())
        tags = next(tags for token, tags in self.gitlab.runners.items() if token.startswith(f"glrt-{name}-"))
        self.add_runner(name, content["executor"], sorted(tags))

    def leftover(self) -> list[str]:
        """Return the processes that belong to a run of this system and still run."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.home / "runs") in line:
                found.append(line)
        return found

    def lose_runner(self, name: str) -> None:
        """Kill a runner, as the end of its host does; what it has started for its job is killed as well.

        The hour in which GitLab hears nothing of the job is over at once.
        """
        runner = self.runners.pop(name)
        children = _below(runner.pid)
        runner.kill()
        runner.wait()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.gitlab.hear_nothing_of(f"glrt-{name}-")

    def manifests(self) -> list[dict[str, Any]]:
        paths = sorted((self.home / "runs").glob("*/manifest.json"))
        return [json.loads(path.read_bytes()) for path in paths]


def pipeline_text(system: str) -> str:
    """Return the committed pipeline of a system."""
    return (ROOT / "ci" / "pipelines" / f"{system}.yml").read_text()


@contextmanager
def site(name: str, folder: Path, components: str) -> Iterator[Site]:
    """Provide a system with a runner for each of its executors, and end everything afterwards."""
    system = find(name)
    testbed = _testbed(system, folder)
    gitlab = None
    here = None
    try:
        project, sha = repository(folder / "project")
        gitlab = GitLab(project, sha)
        here = Site(_here(system, testbed), folder, gitlab, testbed.kind if testbed else "local")
        _prepare(here, testbed, components)
        for kind, executor, tags in _runners(system):
            here.add_runner(kind, executor if testbed else "shell", tags)
        yield here
    finally:
        for one in list(here.runners) if here else []:
            assert here is not None
            here.lose_runner(one)
        if gitlab is not None:
            gitlab.close()
        if testbed is not None:
            manage.down(folder / "testbed", testbed.id)


def tags_of(system: System, tags: list[str]) -> list[str]:
    """Return tags with GitLab's variables replaced by the defaults of the site file."""
    defaults = {variable.name: variable.default for variable in system.ci.variables}
    return [re.sub(r"\$(\w+)", lambda match: defaults.get(match[1]) or match[1].lower(), tag) for tag in tags]


def _runners(system: System) -> list[tuple[str, str, list[str]]]:
    """Return the runners of the site file: for jobs on a login node, and for batch jobs if it has any."""
    runner = system.runner
    runners = [("shell", "shell", tags_of(system, [*runner.tags, *runner.shell_tags]))]
    if runner.executor == "batch":
        spec = next(spec for spec in system.schedulers if not spec.nested)
        batch = ("batch", spec.kind, tags_of(system, [*runner.tags, *runner.batch_tags]))
        runners = [batch] if not runner.shell_tags else [*runners, batch]
    return runners


def _testbed(system: System, folder: Path) -> Testbed | None:
    spec = next((spec for spec in system.schedulers if not spec.nested), None)
    if spec is None or (spec.kind in NEEDS and NEEDS[spec.kind].find() is None):
        return None
    kind = _KINDS.get(spec.kind, spec.kind)
    if spec.kind in _KINDS:
        # An emulated node has the name of this host, so that a job finds itself on a node of its allocation.
        system = msgspec.structs.replace(system, extras={**system.extras, "node_names": os.uname().nodename})
    profile = SiteProfile(system, spec)
    return manage.up(kind, folder / "testbed", nodes=2, owner_pid=os.getpid(), profile=profile)


def _here(system: System, testbed: Testbed | None) -> System:
    return msgspec.structs.replace(
        system,
        detect=Detect(),
        schedulers=[testbed.scheduler] if testbed else [],
        testbeds=[],
        local=LocalUse(allowed=False) if testbed else LocalUse(allowed=True, cores=2),
        limits=Limits(queue_wait="00:02:00"),
        deployment_if_installed=[],
        promises=[],
        modules=Modules(),
        network=Network(),
        collector=Collector(),
        work_dir=None,
        spack_scope=None,
        sources=[],
    )


def _prepare(here: Site, testbed: Testbed | None, components: str) -> None:
    """Write the site file, the user's home, the cases, and the variables of the project on GitLab."""
    file = here.folder / "sites" / f"{here.system.system}.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(here.system)))
    home, cases = here.folder / "home", here.hold.parent
    for path in (home, cases, here.data, here.home):
        path.mkdir(parents=True, mode=0o700)
    (here.home / "deployments").symlink_to(Path(components).parent)
    given = manage.environment(testbed, {"PATH": "$PATH"}) if testbed else {}
    lines = [f'export {name}="{value}"' for name, value in given.items()]
    (home / ".bash_profile").write_text("\n".join([f"echo {BANNER!r}", *lines]) + "\n")
    (cases / "test_quick.py").write_text(CASES.replace("HOLD", str(here.hold)))
    (cases / "quick.py").write_text(PAYLOAD)
    program = here.folder / "exaworks"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m exaworks_sdk "$@"\n')
    program.chmod(0o700)
    accounts = {spec.account_env: "abc123" for spec in here.system.schedulers if spec.account_env}
    here.gitlab.variables = {
        **accounts,
        "EXAWORKS": str(program),
        "EXAWORKS_SITES": str(file.parent.parent),
        "EXAWORKS_CI_HOME": str(here.folder / "work"),
        "EXAWORKS_CI_OPTIONS": f"--cases {cases}",
        "EXAWORKS_TIER": "smoke",
    }


def repository(folder: Path) -> tuple[Path, str]:
    folder.mkdir()
    (folder / "README").write_text("A project with a generated pipeline.\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "state"]):
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return folder, done.stdout.strip()


def _below(pid: int) -> list[int]:
    """Return the processes below a process, at this moment."""
    try:
        children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(one for child in children for one in _below(child))]
