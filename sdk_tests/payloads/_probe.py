"""Prints what a deployment's interpreter sees: versions, places, MPI, modules. Reads metadata; imports no component.

Run by the harness as ``python _probe.py '{"distributions": [...], "commands": {"flux": ["version"]}}'``.
"""

import json
import os
import platform
import shutil
import subprocess
import sys


def distributions(names):
    from importlib import metadata

    found, everything = {}, []
    for dist in metadata.distributions():
        name = dist.metadata["Name"]
        if name:
            everything.append(f"{name.lower()}=={dist.version}")
    for name in names:
        try:
            dist = metadata.distribution(name)
            found[name] = {"version": dist.version, "location": str(dist.locate_file(""))}
        except metadata.PackageNotFoundError:
            found[name] = None
    return found, sorted(set(everything))


def said(argv):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{argv[0]}: {error}"
    return (done.stdout + done.stderr).decode("utf-8", "replace").strip()


def main():
    given = json.loads(sys.argv[1])
    found, everything = distributions(given["distributions"])
    commands = {}
    for name, args in given["commands"].items():
        place = shutil.which(name)
        commands[name] = {"location": place, "says": said([place, *args])} if place else None
    mpi = next((place for place in map(shutil.which, ("mpiexec", "mpirun")) if place), None)
    answer = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "machine": platform.machine(),
        "distributions": found,
        "everything": everything,
        "commands": commands,
        "mpi": {"location": mpi, "says": said([mpi, "--version"])} if mpi else None,
        "modules": [name for name in os.environ.get("LOADEDMODULES", "").split(":") if name],
        "path": sys.path,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
