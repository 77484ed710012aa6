"""A stand-in for micromamba and conda: real environments, from ``venv``, with packages that exist by name only.

It takes the options that the real programs document, refuses others, and checks the list of packages that it is given.
What it cannot show is whether conda-forge has the packages.
"""

from __future__ import annotations

import hashlib
import shlex
import stat
import sys
from pathlib import Path

PROGRAM = """\
import argparse, json, os, subprocess, sys
from pathlib import Path

KIND, BARE = {kind!r}, {bare!r}
def main():
    words = sys.argv[1:]
    if words[:1] == ["create"]:
        parser = argparse.ArgumentParser()
        for flag in ("--yes", "--override-channels"):
            parser.add_argument(flag, action="store_true", required=flag == "--yes")
        parser.add_argument("--prefix", required=True)
        parser.add_argument("--channel")
        parser.add_argument("--file")
        parser.add_argument("specs", nargs="*")
        given = parser.parse_args(words[1:])
        if "absent" in str(given.specs):
            sys.exit("error    libmamba Could not solve for environment specs")
        listed = given.specs
        if given.file:
            lines = Path(given.file).read_text().splitlines()
            listed = [line for line in lines if "#" in line[1:]]
            assert "@EXPLICIT" in lines
        else:
            assert given.override_channels and given.channel == "conda-forge"
        bare = ["--without-pip"] if os.environ.get(BARE) else []
        subprocess.run([sys.executable, "-I", "-m", "venv", *bare, given.prefix], check=True)
        (Path(given.prefix) / "conda-meta").mkdir()
        (Path(given.prefix) / "conda-meta" / "listed.json").write_text(json.dumps(listed))
    elif words[:-1] == {listing!r} + ["--prefix"]:
        print("# platform: linux-64\\n@EXPLICIT")
        for spec in json.loads((Path(words[-1]) / "conda-meta" / "listed.json").read_text()):
            name = spec.replace("=", "-")
            print("https://conda.example.org/conda-forge/linux-64/" + name + "-0.conda" + {hashed!r})
    elif words == {hook!r}:
        print(KIND + '() {{ [ "$1" = activate ] || return 1; [ -d "$2/conda-meta" ] || return 1;'
              ' export PATH="$2/bin:$PATH" CONDA_PREFIX="$2" CONDA_DEFAULT_ENV="$2"; }}')
    else:
        sys.exit(KIND + ": unknown: " + " ".join(words))
main()
"""
BARE = "STAND_IN_WITHOUT_PIP"
"""A variable with which the environments have no pip, which takes most of the time of their creation."""
LISTINGS = {
    "micromamba": ["env", "export", "--explicit", "--md5"],
    "mamba": ["list", "--explicit", "--md5"],
    "conda": ["list", "--explicit", "--md5"],
}
HOOKS = {"micromamba": ["shell", "hook", "--shell", "bash"], "conda": ["shell.bash", "hook"], "mamba": ["none"]}


def tool(folder: Path, kind: str, *, hashed: bool = True) -> Path:
    """Write the program into a folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = "#" + hashlib.md5(kind.encode()).hexdigest() if hashed else ""
    path = folder / kind
    words = {"listing": LISTINGS[kind], "hook": HOOKS[kind], "hashed": digest}
    program = folder / f"{kind}.py"
    program.write_text(PROGRAM.format(kind=kind, bare=BARE, **words))
    command = shlex.join([sys.executable, "-I", str(program)])  # a first line #! cannot name a path with a space
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
