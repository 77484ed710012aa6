"""Shared by the payloads that use Flux from Python: where Flux's bindings are, and what this Python lacks for them.

``_payload`` imports this module, so that the payloads' helpers can import it although its folder is not on the path.
"""

import os
import platform
import subprocess
import sys
from importlib.util import find_spec

PACKAGES = {"cffi": "cffi", "ply": "ply", "yaml": "PyYAML"}
"""What Flux's bindings import, and the names of the packages. Flux's own Python has them, a deployment's may not."""


def bindings():
    """Make Flux's bindings importable in this process and return the folder of the package.

    Raises:
        ImportError: this Python cannot use them; the message states what to install.
    """
    folders = bindings_folders()
    sys.path += [part for part in folders if part not in sys.path]
    try:
        import flux.job
    except ImportError as error:
        raise ImportError(unusable(folders, error)) from error
    return os.path.dirname(flux.__file__)


def bindings_for_children():
    """Make Flux's bindings importable in the Python processes that this one starts.

    Raises:
        ImportError: this Python cannot use them; the message states what to install.
    """
    folders = bindings_folders()
    os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH"), *folders) if part)
    argv = [sys.executable, "-c", "import flux.job"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImportError(unusable(folders, (done.stderr.strip().splitlines() or ["no message"])[-1]))


def bindings_folders():
    """Return the folders of Flux's bindings, which are installed under Flux's prefix.

    Raises:
        ImportError: Flux is not on PATH.
    """
    try:
        done = subprocess.run(["flux", "env", "printenv", "PYTHONPATH"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ImportError("flux is not on PATH, which finds Flux's Python bindings: load or install Flux") from None
    return [part for part in done.stdout.strip().split(os.pathsep) if part]


def unusable(folders, error):
    """Return the message about bindings that cannot be imported: what this deployment's Python lacks."""
    cannot = (
        f"this deployment's Python cannot import Flux's bindings in {' and '.join(folders) or 'no folder'}: {error}"
    )
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        names = " ".join(missing)
        return f"{cannot}; install {names} into the deployment: {sys.executable} -m pip install {names}"
    version = platform.python_version()
    return f"{cannot}; is Flux built for another version of Python than this one, {sys.executable} {version}?"
