"""Find out whether a path is on a shared file system, where SQLite cannot use its write-ahead log."""

from __future__ import annotations

import os
from pathlib import Path

SHARED = frozenset(
    {
        "nfs",
        "nfs4",
        "lustre",
        "gpfs",
        "beegfs",
        "beegfs_nodev",
        "panfs",
        "ceph",
        "afs",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "pvfs2",
        "orangefs",
        "dvs",
        "fuse.sshfs",
    }
)
"""File systems that several hosts can write to. The shared memory of SQLite's write-ahead log does not work there."""

MOUNTS = Path("/proc/self/mountinfo")


def shared_file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the kind of the shared file system that contains ``path``, or None if it is local or unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        point = fields[4].encode().decode("unicode_escape") if "\\" in fields[4] else fields[4]
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind if kind in SHARED else None
