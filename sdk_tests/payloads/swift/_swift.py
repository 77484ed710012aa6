"""Shared by the Swift/T payloads: compile and run a program of this folder with ``swift-t``.

By hand: ``swift-t -n 3 hello.swift -base=7 -exponent=20``. One rank of a run is the server; the others are workers.
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
    """Copy a program to this folder, because ``swift-t`` compiles in the folder of the source; return its name.

    reads: ``getenv`` makes the program read its arguments from the environment, for runs that lose the arguments.
    """
    source = (HERE / name).read_text(encoding="utf-8")
    Path(name).write_text(source.replace("argv(", f"{reads}("), encoding="utf-8")
    return name


def steps(**more):
    """Return the arguments that a program needs to call ``_step.py``, and further arguments."""
    return named(python=sys.executable, program=HERE / "_step.py", **more)


def named(**arguments):
    """Return arguments in the form that Swift's ``argv`` reads."""
    return [f"-{name}={value}" for name, value in arguments.items()]


def swift(request, *argv, procs=3, env=None):
    """Run ``swift-t`` with the payloads' Tcl packages and this allocation's launcher; return the completed process.

    Raises:
        TimeoutError: the run did not end within the payload's time limit; its processes are killed.
    """
    variables = {**os.environ, **(launcher_variables(request, procs) if env is None else env)}
    return run_command(
        ["swift-t", "-n", str(procs), "-r", str(HERE / "leaves"), *argv], variables, seconds_left(request)
    )


def run_command(argv, env, seconds):
    """Run a command in its own session, which ends with the command; return the completed process with its output."""
    output = Path(f"{Path(argv[0]).name}.out")
    with output.open("w", encoding="utf-8") as out:
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
        child = subprocess.Popen(argv, env=env, start_new_session=True, **streams)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{argv[0]} has not ended after {seconds:.0f} s") from None
        finally:
            end_session(child)
            print(output.read_text(encoding="utf-8", errors="replace"))
    return subprocess.CompletedProcess(argv, child.returncode, output.read_text(encoding="utf-8", errors="replace"))


def end_session(child):
    """End the processes of a command's session; SIGTERM comes first, so that launchers can end their remote ranks."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def launcher_variables(request, procs):
    """Return the variables with which Turbine starts its ranks: in an allocation, with the scheduler's launcher.

    If ``params`` name ``mpiexec``, and outside an allocation, Turbine uses the mpiexec that it was built with.
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
    """Write a script that calls ``flux run`` with the arguments of Turbine (-n RANKS PROGRAM...); return its path."""
    path = Path("flux-run").absolute()
    size = f"--nodes={nodes} --tasks-per-node={math.ceil(procs / nodes)}"
    path.write_text(f'#!/bin/sh\nshift 2\nexec flux run {size} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def fork(scheduler, kind=None):
    """Return the variables that keep MPICH's mpiexec on this machine if a testbed's nodes are not separate hosts."""
    separate = (kind or scheduler["kind"]) in ("local", "slurm")
    return {"HYDRA_LAUNCHER": "fork"} if scheduler.get("loopback") and not separate else {}


def pmi():
    """Return the variable that selects srun's MPI support for MPICH, unless the site has set it."""
    return {"SLURM_MPI_TYPE": os.environ.get("SLURM_MPI_TYPE", "pmi2")}


def answers(output):
    """Return the values that a program printed as ``ANSWER name=value``."""
    return dict(re.findall(r"^ANSWER (\w+)=(.*)$", output, re.MULTILINE))


def numbers(output):
    """Return the numbers that a program printed as ``ANSWER name=number``."""
    return {name: int(value) for name, value in answers(output).items()}


def exit_code_lines(output):
    """Return the lines in which a run reports the exit code of a program that failed."""
    return [line for line in output.splitlines() if "code: " in line]


def seconds_left(request):
    """Return the seconds until this payload's time limit."""
    limit = request.get("limit") or request.get("walltime") or 60
    return max(1.0, STARTED + 0.9 * limit - time.monotonic())
