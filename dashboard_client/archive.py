"""Carrying a run out of a machine that cannot push: an archive of its outbox, and nothing else of it."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from dashboard_client.durable import write_whole
from dashboard_client.errors import RunFolderError
from dashboard_client.runs import OUTBOX, RUN_ID, RunFolder

SUFFIXES = (".tar.gz", ".tgz")
LARGEST = 1024**3
"""Bytes that an archive may unfold to; more is no archive of ours."""


def preview(run: RunFolder) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the very bytes of each file that leaves, in a fixed order.

    A last line that is being written, or that a kill has torn, is not part of what leaves.

    Raises:
        RunFolderError: a file cannot be read.
    """
    for name in OUTBOX:
        path = run.path / name
        if path.is_symlink():
            raise RunFolderError(f"{path}: is a symbolic link; what leaves must lie in the run folder itself")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from error
        yield name, data[: data.rfind(b"\n") + 1] if name == "records.jsonl" else data


def export(run: RunFolder, to: Path) -> Path:
    """Write the outbox into a tar.gz that has the same bytes whenever and by whomever it is made; return its path.

    ``to`` is a folder, or a file name that ends in .tar.gz or .tgz.

    Raises:
        RunFolderError: it cannot be written, or is not named as an archive.
    """
    run_id = run.manifest.run_id
    path = to / f"{run_id}.tar.gz" if to.is_dir() else to
    if not path.name.endswith(SUFFIXES):
        raise RunFolderError(f"{path}: is neither a folder nor named {' or '.join('*' + end for end in SUFFIXES)}")
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, data in preview(run):
            member = tarfile.TarInfo(f"{run_id}/{name}")
            member.size = len(data)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(data))
    try:
        write_whole(path, packed.getvalue())
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be written: {error.strerror}") from error
    return path


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[RunFolder]:
    """Unfold an archive into a folder that is gone afterwards, so that it can be shown and pushed like a run.

    Raises:
        RunFolderError: it is no archive of a run, or holds anything but the outbox of one.
    """
    with tempfile.TemporaryDirectory(prefix="exaworks-") as scratch:
        folder = Path(scratch)
        try:
            with tarfile.open(path, mode="r|gz") as tar:
                top = _unfold(tar, folder, path)
        except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
            raise RunFolderError(f"{path}: cannot be read as a tar.gz: {error}") from error
        run = RunFolder(folder / top)
        if not (run.path / "manifest.json").is_file():
            raise RunFolderError(f"{path}: holds no manifest.json, so it is no archive of a run")
        if run.manifest.run_id != top:
            raise RunFolderError(f"{path}: its folder is {top!r}, but the manifest in it is of {run.manifest.run_id!r}")
        yield run


def _unfold(tar: tarfile.TarFile, folder: Path, path: Path) -> str:
    """Write each member by our own name for it; nothing of what the archive says about a file is followed."""
    top = ""
    seen: set[str] = set()
    room = LARGEST
    for member in tar:
        head, _, name = member.name.partition("/")
        strange = not member.isreg() or name not in OUTBOX or name in seen
        if strange or not RUN_ID.fullmatch(head) or head != (top or head):
            raise RunFolderError(
                f"{path}: holds {member.name!r}, which no archive of a run does (one folder of {', '.join(OUTBOX)})"
            )
        room -= member.size
        if room < 0:
            raise RunFolderError(f"{path}: unfolds to more than {LARGEST} bytes")
        if not top:
            top = head
            (folder / top).mkdir()
            (folder / top / "private").mkdir(mode=0o700)
        seen.add(name)
        content = tar.extractfile(member)
        if content is not None:
            (folder / top / name).write_bytes(content.read())
    return top
