"""The preflight on this machine: every present component is started once, before any of its cases.

It runs in the deployment's own interpreter and in the environment of its payloads, beside the rest of the preparation.
The program of a component is ``ComponentKind.preflight``; ``payloads/_conditions.py`` looks at the node itself. The
preflight of a compute node is the agent's, with the same programs.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk_tests.deployments import Deployment
from sdk_tests.execution.node_conditions import conditions
from sdk_tests.execution.process_table import STDERR_CAP
from sdk_tests.model.shell_level import in_a_shell
from sdk_tests.plan.components import ComponentKind
from sdk_tests.plan.probe import PAYLOADS

LIMIT = 120.0
"""Seconds that a preflight may take; no case of a component that needs longer to start could pass."""


@dataclass(frozen=True)
class PreflightFailure:
    """A preflight that did not end well.

    component: empty for a condition of the node. text: its messages. signal: what ended it, if that was one.
    """

    component: str
    text: str
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True)
class PreflightResult:
    """failures: what blocks cases, by component; the key ``""`` blocks every component. notes: what need not."""

    failures: dict[str, PreflightFailure]
    notes: tuple[str, ...] = ()

    def blocking(self, components: Iterable[str]) -> PreflightFailure | None:
        """Return the failure that blocks a case of these components."""
        return next((self.failures[name] for name in ("", *components) if name in self.failures), None)


@dataclass
class _Running:
    component: str
    process: subprocess.Popen[bytes]
    stdout: int
    stderr: int
    ended: int
    """The read end of a pipe that closes with the process."""


def argv_of(kind: ComponentKind, deployment: Deployment) -> list[str] | None:
    """Return the command that starts a component for real; None if it brings none."""
    if kind.preflight is None:
        return None
    return deployment.wrap([deployment.python, str(PAYLOADS / kind.preflight)])


def argv_of_conditions(deployment: Deployment, folders: list[str], interface: str | None) -> list[str]:
    """Return the command that looks at the conditions of a node. folders: those that cases write to, besides TMPDIR."""
    request = json.dumps({"folders": folders, "interface": interface})
    return deployment.wrap([deployment.python, str(PAYLOADS / "_conditions.py"), request], writable=folders)


class Preflight:
    """Preflights that run on this machine. Their output is kept in memory, since no folder may be writable."""

    def __init__(self, deployment: Deployment, argvs: dict[str, list[str]], notes: Iterable[str] = ()) -> None:
        self._started = time.monotonic()
        self._notes = tuple(notes)
        self._temporary = deployment.environ.get("TMPDIR", "/tmp")  # noqa: S108 (only removes its own folders there)
        self._result: PreflightResult | None = None
        self._running: list[_Running] = []
        self._not_started: list[PreflightFailure] = []
        for component, argv in argvs.items():
            try:
                self._running.append(self._start(component, argv, deployment))
            except OSError as error:
                self._not_started.append(PreflightFailure(component, f"{error.strerror or error}: {argv[0]}"))

    def _start(self, component: str, argv: list[str], deployment: Deployment) -> _Running:
        read, write = os.pipe2(os.O_CLOEXEC)
        out, err = (os.memfd_create(name, os.MFD_CLOEXEC) for name in ("preflight-out", "preflight-err"))
        try:
            process = subprocess.Popen(
                argv,
                env=in_a_shell(deployment.environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=(write,),
                cwd="/",
                start_new_session=True,
            )
        except OSError:
            for fd in (read, out, err):
                os.close(fd)
            raise
        finally:
            os.close(write)
        return _Running(component, process, out, err, read)

    def runs(self) -> bool:
        """Return whether ``result`` would have to wait."""
        late = time.monotonic() >= self._started + LIMIT
        return self._result is None and not late and any(each.process.poll() is None for each in self._running)

    def result(self, wake: int | None = None) -> PreflightResult | None:
        """Wait for all preflights, and return what they found; None if ``wake`` became readable first."""
        if self._result is not None:
            return self._result
        deadline = self._started + LIMIT
        with selectors.DefaultSelector() as selector:
            for each in self._running:
                selector.register(each.ended, selectors.EVENT_READ)
            if wake is not None:
                selector.register(wake, selectors.EVENT_READ)
            late: set[str] = set()
            while any(each.process.poll() is None for each in self._running):
                # A process that a preflight left behind holds its pipe open, so the end is also looked for.
                for key, _ in selector.select(min(0.5, max(0.0, deadline - time.monotonic()))):
                    if key.fd == wake:
                        return None
                    selector.unregister(key.fd)
                if time.monotonic() >= deadline:
                    late = {each.component for each in self._running if each.process.poll() is None}
                    self._kill()
        ended = [failure for each in self._running for failure in self._failures(each, each.component in late)]
        found = [*self._not_started, *ended]
        notes = [
            note for each in self._running if each.component == "" for note in conditions(_content(each.stdout))[1]
        ]
        failures = {failure.component: failure for failure in found}
        self._result = PreflightResult(failures, (*self._notes, *notes))
        self.close()
        return self._result

    def _failures(self, each: _Running, late: bool) -> list[PreflightFailure]:
        code = each.process.returncode
        if each.component == "":
            return [PreflightFailure("", message) for message in conditions(_content(each.stdout))[0][:1]]
        if code == 0:
            return []
        text = _content(each.stderr)[-STDERR_CAP:].decode(errors="replace")
        if late:
            return [PreflightFailure(each.component, f"{text}\nthe preflight did not end within {LIMIT:g} s")]
        return [PreflightFailure(each.component, text, max(code, 0) or None, -code if code < 0 else None)]

    def _kill(self) -> None:
        for each in self._running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()
            for folder in Path(self._temporary).glob(f"exaworks-preflight-{each.process.pid}-*"):
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """End what still runs, with everything that it started."""
        self._kill()
        for each in self._running:
            for fd in (each.stdout, each.stderr, each.ended):
                os.close(fd)
        self._running = []


def start(
    deployment: Deployment,
    present: Iterable[ComponentKind],
    interface: str | None = None,
    notes: Iterable[str] = (),
    launchers: Mapping[str, str] | None = None,
) -> Preflight:
    """Start the preflight of the components that are present in a deployment, and of the conditions of this machine.

    notes: what the probe found, to be reported with the rest. launchers: paths of the MPI launchers that are to start
    one process, by name; by its name, Python would start the next one on PATH in place of one that cannot be executed.
    """
    argvs = {kind.name: argv for kind in present if (argv := argv_of(kind, deployment))}
    argvs |= {name: deployment.wrap([path, "-n", "1", "true"]) for name, path in (launchers or {}).items()}
    argvs[""] = argv_of_conditions(deployment, [], interface)
    return Preflight(deployment, argvs, notes)


def _content(fd: int) -> bytes:
    return Path(f"/proc/self/fd/{fd}").read_bytes()
