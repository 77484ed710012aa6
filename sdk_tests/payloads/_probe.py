"""Prints the contents of a deployment as JSON: versions, locations, MPI, modules. It reads metadata only.

Run by the harness as
``python _probe.py '{"distributions": [...], "commands": {"flux": ["version"]}, "programs": ["mpirun"]}'``.
With ``--bindings`` it prints only why this Python cannot import Flux's bindings; nothing if it can.
"""

import json
import os
import platform
import shutil
import subprocess
import sys


def distributions(names):
    """Return version and location of each named distribution, or None, and the requirements of all distributions."""
    from importlib import metadata

    named, every = {}, []
    for dist in metadata.distributions():
        name = dist.metadata["Name"]
        if name:
            every.append(f"{name.lower()}=={dist.version}")
    for name in names:
        try:
            dist = metadata.distribution(name)
            named[name] = {"version": dist.version, "location": str(dist.locate_file(""))}
        except metadata.PackageNotFoundError:
            named[name] = None
    return named, sorted(set(every))


def output_of(argv):
    """Return the output of a command, or why it could not be run."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{argv[0]}: {error}"
    return (done.stdout + done.stderr).decode("utf-8", "replace").strip()


def bindings_problem():
    """Return why this Python cannot use the bindings of the Flux on PATH; empty if it can, or if there is no Flux.

    They are imported in a process of its own, which may crash or hang.
    """
    if shutil.which("flux") is None:
        return ""
    argv = [sys.executable, __file__, "--bindings"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Flux's Python bindings cannot be imported: {error}"
    if done.returncode < 0:
        return f"Flux's Python bindings cannot be imported: killed by signal {-done.returncode}"
    return done.stdout.decode("utf-8", "replace").strip()


def print_bindings_problem():
    from _bindings import bindings

    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != folder]  # it has a folder called flux
    try:
        bindings()
    except ImportError as error:
        print(error)


def main():
    if sys.argv[1] == "--bindings":
        print_bindings_problem()
        return
    question = json.loads(sys.argv[1])
    named, every = distributions(question["distributions"])
    commands = {}
    for name, args in question["commands"].items():
        path = shutil.which(name)
        commands[name] = {"location": path, "version_output": output_of([path, *args])} if path else None
    mpi = next((path for path in map(shutil.which, ("mpiexec", "mpirun")) if path), None)
    answer = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "machine": platform.machine(),
        "distributions": named,
        "all_distributions": every,
        "commands": commands,
        "mpi": {"location": mpi, "version_output": output_of([mpi, "--version"])} if mpi else None,
        "programs": {name: path for name in question["programs"] if (path := shutil.which(name))},
        "modules": [name for name in os.environ.get("LOADEDMODULES", "").split(":") if name],
        "path": sys.path,
        "bindings_problem": bindings_problem() if "flux" in question["commands"] else "",
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
