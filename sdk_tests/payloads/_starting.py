"""Shared by the preflights: programs that import or start one component for real, in the deployment's interpreter.

A preflight exits with 0 if its component starts. Otherwise its traceback on stderr has the reason. It leaves nothing
behind: its working directory is a temporary folder. Standard library only.
"""

import contextlib
import faulthandler
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import _payload  # noqa: F401  (its folder leaves the path, on which the names of components are folders)

LIMIT = 110
"""Seconds after which a preflight prints where it is, and ends; the harness kills it a little later."""


def main(function):
    """Call ``function()`` in a temporary folder; exit with 1 and a traceback if it raises or does not end."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # that no folder can be created is a finding of its own (_conditions.py)
            # The harness knows the name by the process id, and removes the folder if it has to kill this process.
            name = f"exaworks-preflight-{os.getpid()}-"
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=name, ignore_cleanup_errors=True))
            os.chdir(folder)
            os.environ["TMPDIR"] = folder
        stack.callback(os.chdir, "/")
        function()
    sys.stderr.flush()
    os._exit(0)  # some components leave threads that do not end


def script(name):
    """Check that a script of the deployment can be started.

    Raises:
        FileNotFoundError, PermissionError, OSError, SyntaxError: why it cannot.
    """
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        found = shutil.which(name)
        if found is None:
            raise FileNotFoundError(f"No such file or directory: no script {name} in {path.parent} or on PATH")
        path = Path(found)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) or not mode & 0o111:
        raise OSError(f"{path} is no executable file: mode {stat.filemode(mode)}")
    if not os.access(path, os.X_OK):
        raise PermissionError(f"Permission denied: {path} may not be executed")
    source = path.read_bytes()
    if not source.strip():
        raise OSError(f"{path}: the file is empty")
    first = source.splitlines()[0]
    interpreter = first[2:].split()[0].decode(errors="replace") if first.startswith(b"#!") else ""
    if interpreter and not os.access(interpreter, os.X_OK):
        raise FileNotFoundError(f"No such file or directory: {path} is run by {interpreter}, which is not there")
    if b"python" in first:
        compile(source, str(path), "exec")


def semaphores():
    """Check that processes can share semaphores, which are files in /dev/shm.

    Raises:
        OSError: they cannot.
    """
    import multiprocessing

    try:
        multiprocessing.get_context("spawn").Semaphore()
    except OSError as error:
        raise OSError(f"/dev/shm: {error}") from error


def runs(*argv):
    """Check that a command exits with 0.

    Raises:
        OSError: it cannot be started. RuntimeError: it failed; its own messages are on stderr.
    """
    code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=2, stderr=2, check=False).returncode
    if code:
        raise RuntimeError(f"{' '.join(argv)}: exit {code}")
