"""Find out whether a Python can compile extension modules here: compiler, its headers, those of the C library.

Only the standard library is imported, because the ``exaworks`` script runs this before anything is installed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig

PROGRAM = """\
#include <Python.h>
#include <stdio.h>
int main(void) { return 0; }
"""

ASK = "import json, sysconfig; print(json.dumps([sysconfig.get_config_var('CC'), sysconfig.get_path('include')]))"
LIMIT = 30.0
"""Seconds that the compiler may take."""


def lacking(python: str = sys.executable) -> str | None:
    """Return what is missing in order to compile an extension module of a Python; None if nothing is."""
    command, include = _settings(python)
    words = shlex.split(os.environ.get("CC") or command or "cc")
    compiler = next((name for name in (words[0], "cc", "gcc") if shutil.which(name)), None)
    if compiler is None:
        return f"no C compiler ({words[0]})"
    argv = [compiler, *(words[1:] if compiler == words[0] else ()), f"-I{include}", "-x", "c", "-", "-o", os.devnull]
    try:
        done = subprocess.run(
            argv, input=PROGRAM, capture_output=True, text=True, errors="replace", timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the C compiler {compiler} does not run: {error}"
    if done.returncode == 0:
        return None
    if "Python.h" in done.stderr:
        return f"no headers of Python ({include}/Python.h)"
    if "stdio.h" in done.stderr:
        return "no headers of the C library (stdio.h)"
    lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
    return f"the C compiler {compiler} compiles nothing: {lines[0].strip() if lines else f'exit {done.returncode}'}"


def _settings(python: str) -> tuple[str | None, str]:
    """Return the compiler that a Python was configured with, and the folder of its headers."""
    if python == sys.executable:
        return sysconfig.get_config_var("CC"), sysconfig.get_path("include")
    import json

    try:
        answer = subprocess.run([python, "-I", "-c", ASK], capture_output=True, text=True, timeout=LIMIT, check=True)
        compiler, include = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None, ""
    return compiler, str(include)
