"""What the Swift/T payloads share: a program beside this file, compiled and run by ``swift-t``, here or as a job.

By hand a run is ``swift-t -n 3 hello.swift -base=7 -exponent=20``. One rank of a run serves the others, which work.
"""

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
STARTED = time.monotonic()


def program(name, reads="argv"):
    """Bring a program here, since ``swift-t`` compiles beside its source; return its name.

    reads: ``getenv`` for a way of running in which a program's arguments are lost, its environment is not.
    """
    source = (HERE / name).read_text(encoding="utf-8")
    Path(name).write_text(source.replace("argv(", f"{reads}("), encoding="utf-8")
    return name


def steps(**more):
    """Return the arguments with which a program calls ``_step.py`` as its apps do, and others."""
    return named(python=sys.executable, program=HERE / "_step.py", **more)


def named(**arguments):
    """Return arguments as Swift's ``argv`` reads them."""
    return [f"-{name}={value}" for name, value in arguments.items()]


def swift(request, *argv, procs=3, env=None):
    """Run ``swift-t`` with its Tcl packages found and its ranks started as this place wants it; return how it ended.

    Raises:
        TimeoutError: it did not end in the time the payload has; nothing of it is left then.
    """
    given = {**os.environ, **(launching(request, procs) if env is None else env)}
    return ended(["swift-t", "-n", str(procs), "-r", str(HERE / "leaves"), *argv], given, left(request))


def ended(argv, env, seconds):
    """Run a command in a session of its own, which is ended with it, and return how that was, with what it printed."""
    signal.signal(signal.SIGTERM, leave)
    said = Path(f"{Path(argv[0]).name}.out")
    with said.open("w", encoding="utf-8") as out:
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
        child = subprocess.Popen(argv, env=env, start_new_session=True, **streams)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{argv[0]} has not ended after {seconds:.0f} s") from None
        finally:
            finish(child)
            print(said.read_text(encoding="utf-8", errors="replace"))
    return subprocess.CompletedProcess(argv, child.returncode, said.read_text(encoding="utf-8", errors="replace"))


def finish(child):
    """End what is left of a command's session: asked first, since launchers then end their ranks elsewhere."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def launching(request, procs):
    """Return the variables by which Turbine starts its ranks: the scheduler's launcher in an allocation of it.

    Where ``params`` say ``mpiexec``, and beside a scheduler, it is the mpiexec that Turbine was built with.
    """
    scheduler, nodes = request["scheduler"], request["nodes"]
    kind = scheduler["kind"] if request.get("where") == "allocation" else "local"
    if request["params"].get("launcher") != "mpiexec" and kind == "slurm":
        flags = ["--overlap", "--overcommit", f"--nodes={nodes}", *(scheduler.get("launcher_flags") or ())]
        return {"TURBINE_LAUNCHER": "srun", "TURBINE_LAUNCH_OPTIONS": " ".join(flags), **pmi()}
    if request["params"].get("launcher") != "mpiexec" and kind == "flux":
        return {"TURBINE_LAUNCHER": flux_run(procs, nodes)}
    return fork(scheduler, kind)


def flux_run(procs, nodes=1):
    """Write ``flux run`` as Turbine calls a launcher (-n RANKS PROGRAM...) and return its path; ranks share cores."""
    path = Path("flux-run").absolute()
    size = f"--nodes={nodes} --tasks-per-node={math.ceil(procs / nodes)}"
    path.write_text(f'#!/bin/sh\nshift 2\nexec flux run {size} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def fork(scheduler, kind=None):
    """Return what keeps MPICH's mpiexec on this machine where the nodes of a testbed are no hosts of their own."""
    aware = (kind or scheduler["kind"]) in ("local", "slurm")
    return {"HYDRA_LAUNCHER": "fork"} if scheduler.get("loopback") and not aware else {}


def pmi():
    """Return how srun is to serve MPICH, unless the site has said so."""
    return {"SLURM_MPI_TYPE": os.environ.get("SLURM_MPI_TYPE", "pmi2")}


def answers(said):
    """Return what a program printed as ``ANSWER name=value``."""
    return dict(re.findall(r"^ANSWER (\w+)=(.*)$", said, re.MULTILINE))


def numbers(said):
    """Return what a program printed as ``ANSWER name=number``."""
    return {name: int(value) for name, value in answers(said).items()}


def codes(said):
    """Return the lines in which a run tells the exit code of a program that failed."""
    return [line for line in said.splitlines() if "code: " in line]


def left(request):
    """Return the seconds this payload still has."""
    limit = request.get("limit") or request.get("walltime") or 60
    return max(1.0, STARTED + 0.9 * limit - time.monotonic())


def leave(*_):
    """Leave on SIGTERM as on an exception, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit("ended by SIGTERM")
