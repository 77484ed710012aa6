"""The folder in which a user works with the notebooks, and the environment of the programs that run there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from exaworks_sdk.errors import TutorialsError
from exaworks_sdk.tutorials.notebook import as_json, notebook
from exaworks_sdk.tutorials.page import pages

_STARTUP = ".ipython/profile_default/startup/00-deployment.py"
_NO_NEWS = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"


def write_notebooks(folder: Path, *, replace: bool = False) -> list[Path]:
    """Write the notebooks that the folder lacks, or all with ``replace``. Return the paths that were written.

    Raises:
        TutorialsError: the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, page in pages().items():
            path = folder / f"{name}.ipynb"
            if replace or not path.exists():
                path.write_text(as_json(notebook(name, page.read_text(encoding="utf-8"))), encoding="utf-8")
                written.append(path)
    except OSError as error:
        raise TutorialsError(
            f"cannot write {error.filename or folder}: {error.strerror}. Choose another folder with --to."
        ) from error
    return written


def environment(folder: Path, deployment: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of JupyterLab: its cells and terminals use the programs of the deployment.

    The kernel itself runs in JupyterLab's own environment. IPython would add the packages of ``VIRTUAL_ENV`` to it, so
    a start-up file sets that variable for the cells only. The settings of IPython and of JupyterLab are in ``folder``,
    not among the user's own; one of them keeps JupyterLab from offering news from the internet.
    """
    _write(folder / _STARTUP, f"import os\n\nos.environ['VIRTUAL_ENV'] = {str(deployment)!r}\n")
    _write(folder / _NO_NEWS, '{"fetchNews": "false"}\n')
    kept = {name: value for name, value in environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")}
    path = os.pathsep.join((str(deployment / "bin"), kept.get("PATH", os.defpath)))
    return {
        **kept,
        "PATH": path,
        "IPYTHONDIR": str(folder / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
