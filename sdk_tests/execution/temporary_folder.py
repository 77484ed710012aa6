"""The folder for the temporary files of an attempt (``TMPDIR``), so that a payload leaves nothing in /tmp.

It is ``tmp`` in the scratch folder of the attempt if its path is short enough: programs create UNIX sockets there,
whose paths have at most 107 bytes (unix(7)). Otherwise it is a private folder in /tmp, which is removed when the
attempt has ended. Such a folder exists on one machine only. If an attempt may use other machines too, and the path of
its scratch folder is long, it keeps the TMPDIR that its login node or its job has.

The names of private folders follow from the run and the attempt, so the supervisor also finds those of an agent that
was killed. Standard library only, since the agent inside an allocation uses it too.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import stat

VARIABLE = "TMPDIR"
LONGEST = 62
"""Bytes that the path of the folder may have. Of the 107 bytes of a socket's path it leaves 45 for the names below."""
PLACE = "/tmp"  # noqa: S108 (folders with mode 0700 are created there, or refused)


def create(scratch: str, mark: str, one_machine: bool) -> str | None:
    """Create the folder of an attempt and return its path; None if the attempt is to keep the TMPDIR that it has.

    mark: ``RUN/ATTEMPT``. one_machine: whether everything that the attempt starts runs on this machine.
    """
    inside = os.path.join(scratch, "tmp")  # noqa: PTH118
    if len(os.fsencode(inside)) <= LONGEST:
        path = inside
    elif one_machine:
        path = _private(mark)
    else:
        return None
    with contextlib.suppress(OSError):  # a full or read-only folder is no reason not to start the attempt
        with contextlib.suppress(FileExistsError):  # the job of the attempt was requeued
            os.mkdir(path, 0o700)  # noqa: PTH102
        if _own(path):
            return path
    return None


def remove(mark: str) -> None:
    """Remove the private folder of an attempt, if there is one on this machine."""
    _remove(_private(mark))


def remove_all(run: str) -> None:
    """Remove the private folders of all attempts of a run on this machine."""
    for path in glob.glob(f"{glob.escape(_prefix(run))}*"):  # noqa: PTH207
        _remove(path)


def _prefix(run: str) -> str:
    return f"{PLACE}/exaworks-{os.getuid()}-{_digest(run, 6)}-"


def _private(mark: str) -> str:
    run, _, attempt = mark.partition("/")
    return _prefix(run) + _digest(attempt, 10)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:length]


def _own(path: str) -> bool:
    """Return whether this is a folder, not a link, that belongs to us and that other users cannot enter."""
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        return (
            stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
        )
    return False


def _remove(path: str) -> None:
    if _own(path):
        shutil.rmtree(path, ignore_errors=True)
