"""Export the outbox of a run as an archive, for a machine that cannot push, and open such an archive."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from dashboard_client.durable import write_atomically
from dashboard_client.errors import RunFolderError
from dashboard_client.runs import OUTBOX, RUN_ID, RunFolder

SUFFIXES = (".tar.gz", ".tgz")
MAX_BYTES = 1024**3
"""Maximum unpacked size of an archive, in bytes."""


def preview(run: RunFolder) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the exact bytes of each file that leaves the machine, in a fixed order.

    A last line of the records that is incomplete (being written, or torn by a kill) is left out.

    Raises:
        RunFolderError: a file cannot be read.
    """
    for name in OUTBOX:
        path = run.path / name
        if path.is_symlink():
            raise RunFolderError(
                f"{path}: is a symbolic link; only a file in the run folder itself may leave the machine"
            )
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from error
        yield name, data[: data.rfind(b"\n") + 1] if name == "records.jsonl" else data


def export(run: RunFolder, to: Path) -> Path:
    """Write the outbox into a tar.gz and return its path. Its bytes depend on the content of the run alone.

    ``to`` is a folder, or a file name that ends in .tar.gz or .tgz.

    Raises:
        RunFolderError: the archive cannot be written, or its name has the wrong ending.
    """
    run_id = run.manifest.run_id
    path = to / f"{run_id}.tar.gz" if to.is_dir() else to
    if not path.name.endswith(SUFFIXES):
        raise RunFolderError(f"{path}: is neither a folder nor a file name that ends in {' or '.join(SUFFIXES)}")
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, data in preview(run):
            member = tarfile.TarInfo(f"{run_id}/{name}")
            member.size = len(data)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(data))
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be written: {error.strerror}") from error
    return path


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[RunFolder]:
    """Unpack an archive into a temporary folder, so that it can be displayed and pushed like a run.

    Raises:
        RunFolderError: it is not an archive of a run, or contains anything else than the outbox of one.
    """
    with tempfile.TemporaryDirectory(prefix="exaworks-") as scratch:
        folder = Path(scratch)
        try:
            with tarfile.open(path, mode="r|gz") as tar:
                top = _unpack(tar, folder, path)
        except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
            raise RunFolderError(f"{path}: cannot be read as a tar.gz: {error}") from error
        run = RunFolder(folder / top)
        if not (run.path / "manifest.json").is_file():
            raise RunFolderError(f"{path}: not an archive of a run: it contains no manifest.json")
        if run.manifest.run_id != top:
            raise RunFolderError(
                f"{path}: its folder is named {top!r}, but its manifest is that of run {run.manifest.run_id!r}"
            )
        yield run


def _unpack(tar: tarfile.TarFile, folder: Path, path: Path) -> str:
    """Write each member under a name of our own; paths, modes and links from the archive are not used."""
    top = ""
    names: set[str] = set()
    room = MAX_BYTES
    for member in tar:
        head, _, name = member.name.partition("/")
        unexpected = not member.isreg() or name not in OUTBOX or name in names
        if unexpected or not RUN_ID.fullmatch(head) or head != (top or head):
            raise RunFolderError(
                f"{path}: contains {member.name!r}; an archive of a run has one folder with only {', '.join(OUTBOX)}"
            )
        room -= member.size
        if room < 0:
            raise RunFolderError(f"{path}: unpacks to more than {MAX_BYTES} bytes")
        if not top:
            top = head
            (folder / top).mkdir()
            (folder / top / "private").mkdir(mode=0o700)
        names.add(name)
        content = tar.extractfile(member)
        if content is not None:
            (folder / top / name).write_bytes(content.read())
    return top
