"""A private Flux instance of several brokers on this machine, run by the current user (flux-start(1)).

Its nodes have the cores of the system that it represents, even if this machine has fewer (flux-config-resource(5),
``noverify``), and its queues have the limits of that system (flux-config-policy(5), flux-config-queues(5)). All brokers
share the host name of this machine.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from sdk_tests.errors import TestbedError
from sdk_tests.model.shell_level import in_a_shell
from sdk_tests.schedulers.commands import find, run_command
from sdk_tests.schedulers.flux import TEMPORARY
from sdk_tests.testbeds import processes, record
from sdk_tests.testbeds.base import Daemon, Testbed, TestbedKind
from sdk_tests.testbeds.site_profile import prompt
from site_configs.schema import Launcher, Queue, SchedulerSpec, seconds

MARK = "FLUX_TESTBED"
SHIMS = "shims"
_START_TIMEOUT = 60.0


class FluxTestbed(TestbedKind):
    """Starts and stops a Flux instance."""

    kind = "flux"

    def absent(self) -> str | None:
        return None if find("flux", os.environ) else "flux: not on PATH; load or install flux-core"

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        reason = self.absent()
        if reason:
            raise TestbedError(f"no Flux testbed here: {reason}")
        flux = find("flux", os.environ) or "flux"
        me = processes.identify(os.getpid())
        assert me is not None
        cores = (self.profile.cores if self.profile else None) or cores
        base = folder
        if len(str(folder)) > 80:  # the path of a socket may have at most 108 bytes
            base = Path("/tmp") / f"exaworks-{os.getuid()}-{folder.name}"  # noqa: S108 (created with mode 0700, or refused)
        testbed = Testbed(
            id=folder.name,
            kind=self.kind,
            folder=folder,
            env={
                "FLUX_URI": f"local://{base}/run/local-0",
                TEMPORARY: str(base / "tmp"),
                "PATH+": f"{folder / SHIMS}{os.pathsep}{Path(flux).parent}",
            },
            scheduler=self._spec(nodes),
            owner=owner,
            nodes=nodes,
            version=flux_version(run_command([flux, "--version"], os.environ).stdout),
            extras={**record.initial_extras(me), "base": str(base), "cores": str(cores)},
        )
        record.write(testbed)
        try:
            if base != folder:
                base.mkdir(mode=0o700)
                (base / record.FILE).symlink_to(folder / record.FILE)
            for path in (base / "run", base / "conf", base / "tmp", folder / "log", folder / SHIMS):
                path.mkdir(mode=0o700)
            (base / "conf" / "testbed.toml").write_text(_configuration(testbed, nodes, cores, base))
        except OSError as error:
            raise TestbedError(f"cannot write the folder of the testbed, {base}: {error.strerror}") from error
        env = {name: value for name, value in os.environ.items() if not name.startswith(("FLUX_", "SLURM", "PMI"))}
        env = in_a_shell(env) | {MARK: str(base), "TMPDIR": str(base / "tmp")}
        argv = [
            flux,
            "start",
            f"--test-size={nodes}",
            f"--test-rundir={base / 'run'}",
            f"--config-path={base / 'conf'}",
        ]
        log = folder / "log" / "flux.err"
        daemon = processes.spawn("flux-start", [*argv, "sleep", "infinity"], env, folder, log)
        testbed = replace(testbed, daemons=(daemon,))
        record.write(testbed)
        inside = {**env, "FLUX_URI": testbed.env["FLUX_URI"]}
        deadline = time.monotonic() + _START_TIMEOUT
        while not _idle(flux, inside, nodes):
            if not processes.alive(daemon) or time.monotonic() > deadline:
                output = log.read_text(errors="replace").strip().splitlines()
                raise TestbedError(f"the Flux testbed did not start: {output[-1] if output else 'no output'}")
            time.sleep(0.1)
        if testbed.scheduler.queues:  # queues from a configuration are stopped at first
            run_command([flux, "queue", "start", "--all"], inside)
        extras = {key: value for key, value in testbed.extras.items() if key != "maker"} | {"state": record.UP}
        testbed = replace(testbed, extras=extras)
        record.write(testbed)
        return testbed

    def down(self, testbed: Testbed) -> None:
        base = Path(testbed.extras.get("base", str(testbed.folder)))
        daemons = [one for one in testbed.daemons if processes.alive(one)]
        if daemons:
            _stop(testbed)
        started = processes.descendants(daemons) + processes.with_variable(f"{MARK}={base}")
        survivors = processes.end(daemons, grace=5.0) + processes.end(started, grace=0.0)
        survivors += processes.end(processes.with_variable(f"{MARK}={base}"), grace=0.0)
        if survivors:
            names = ", ".join(f"{daemon.name} ({daemon.pid})" for daemon in survivors)
            raise TestbedError(f"testbed {testbed.id}: could not end {names}. They may belong to another user.")
        if base != testbed.folder:
            import shutil

            shutil.rmtree(base, ignore_errors=True)

    def _spec(self, nodes: int) -> SchedulerSpec:
        if self.profile is not None:
            return self.profile.scheduler(emulated=False)
        return prompt(
            SchedulerSpec(
                kind=self.kind,
                queues=[Queue(name="debug", max_nodes=nodes, max_walltime="01:00:00")],
                default_queue="debug",
                multi_node_queue="debug",
                launchers=[Launcher(name="flux", flags=["run"])],
                max_jobs=200,
            )
        )


def flux_version(output: str) -> str | None:
    """Return the version that ``flux --version`` prints; None if there is none.

    Source: flux(1). It prints ``NAME: VALUE`` lines for the commands, the library, the broker and the options of the
    build, in this order; the first version is that of flux-core.
    """
    match = re.search(r"\b\d+\.\d+(?:\.\d+)?[\w.+-]*", output)
    return match.group() if match else None


def _configuration(testbed: Testbed, nodes: int, cores: int, base: Path) -> str:
    """Return the configuration of Flux: the claimed resources, and the queues with their limits."""
    flux = find("flux", os.environ) or "flux"
    hosts = ",".join([platform.node()] * nodes)
    argv = [flux, "R", "encode", f"--ranks={_range(nodes)}", f"--cores={_range(cores)}", f"--hosts={hosts}"]
    encoded = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    if encoded.returncode != 0:
        raise TestbedError(f"flux R encode failed: {encoded.stderr.strip()}")
    (base / "R").write_text(encoded.stdout)
    lines = ["[resource]", "noverify = true", f'path = "{base / "R"}"', ""]
    spec = testbed.scheduler
    if spec.default_queue:
        lines += ["[policy.jobspec.defaults.system]", f'queue = "{spec.default_queue}"', ""]
    for queue in spec.queues:
        lines += [f"[queues.{queue.name}]", ""]
        if queue.max_walltime:
            lines += [f"[queues.{queue.name}.policy.limits]", f'duration = "{seconds(queue.max_walltime)}s"', ""]
        if queue.max_nodes:
            lines += [f"[queues.{queue.name}.policy.limits.job-size.max]", f"nnodes = {queue.max_nodes}", ""]
        if queue.min_nodes > 1:
            lines += [f"[queues.{queue.name}.policy.limits.job-size.min]", f"nnodes = {queue.min_nodes}", ""]
    return "\n".join(lines)


def _range(count: int) -> str:
    """Return the ids from 0 in Flux's notation, which has no range of a single id."""
    return f"0-{count - 1}" if count > 1 else "0"


def _idle(flux: str, env: dict[str, str], nodes: int) -> bool:
    listed = run_command([flux, "resource", "list", "-n", "-s", "free", "-o", "{nnodes}"], env)
    return listed.exit_code == 0 and listed.stdout.split()[:1] == [str(nodes)]


def _stop(testbed: Testbed) -> None:
    """Cancel running jobs as ``flux cancel`` does, within a few seconds."""
    env = {**os.environ, "FLUX_URI": testbed.env["FLUX_URI"]}
    flux = find("flux", os.environ)
    if flux:
        run_command([flux, "cancel", "--all"], env)
