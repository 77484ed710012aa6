"""A path in UTF-8 of any folder. Python's venv, JSON and many programs cannot handle other paths.

``python exaworks_sdk/utf8_path.py FOLDER`` prints it, for the ``exaworks`` script. Only the standard library is used.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

PRIVATE = "/var/tmp/exaworks-{uid}"  # noqa: S108  # a private folder is created there, and its owner is checked


def utf8_path(folder: str) -> str:
    """Return the folder itself if its path is UTF-8, else a symbolic link to it in a private folder of this user.

    A folder that is linked is created first.

    Raises:
        OSError: the folder or the link cannot be created, or the private folder belongs to another user.
    """
    name = os.fsencode(folder)
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return folder
    private = private_folder()
    Path(folder).mkdir(parents=True, exist_ok=True)
    link = private / hashlib.sha256(name).hexdigest()[:12]
    if not link.is_symlink():
        link.symlink_to(folder)
    return str(link)


def private_folder() -> Path:
    """Return a folder of this user whose path is simple; it is created if it is absent.

    Raises:
        OSError: it cannot be created, or belongs to another user.
    """
    private = Path(PRIVATE.format(uid=os.getuid()))
    private.mkdir(mode=0o700, exist_ok=True)
    if private.is_symlink() or private.stat().st_uid != os.getuid():
        raise PermissionError(13, "belongs to another user", str(private))
    return private


if __name__ == "__main__":
    try:
        print(utf8_path(sys.argv[1]))
    except OSError as problem:
        sys.exit(f"exaworks: EXAWORKS_HOME is not in UTF-8, and {problem.filename} cannot be used: {problem.strerror}")
