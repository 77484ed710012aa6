"""A run's folder: its manifest, its spool, the files that may leave the machine, and a private folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from dashboard_client.durable import sync_folder, write_atomically
from dashboard_client.errors import RecordError, RunFolderError
from dashboard_client.schema import Closing, Manifest, Record, canonical, encode, record_id
from dashboard_client.spool import CODEC_ERRORS, Reading, Spool, read, scan

OUTBOX = ("manifest.json", "records.jsonl", "junit.xml", "report.html")
"""The only files of a run that may leave the machine: they can be pushed, exported and previewed."""

LAST = "last"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def new_run_id(system: str, now: datetime) -> str:
    """Return a new run id. Ids sort by time, and two runs that start in the same second have different ids.

    Raises:
        ValueError: ``now`` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("the time of a run needs a time zone")
    stamp = now.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{re.sub(r'[^A-Za-z0-9._-]+', '-', system)}-{secrets.token_hex(3)}"


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """Return every run of a folder, oldest first. A manifest is read on first access, and may be damaged."""
    return [RunFolder(path.parent) for path in sorted(runs_dir.glob("*/manifest.json"))]


def highest_attempts(records: Iterable[Record]) -> dict[str, Record]:
    """Return the record that counts for each case: its highest attempt."""
    highest: dict[str, Record] = {}
    for record in records:
        known = highest.get(record.case_id)
        if known is None or record.retries.attempt >= known.retries.attempt:
            highest[record.case_id] = record
    return highest


class RunFolder:
    """One run on disk. Reading needs no lock; ``append`` and ``close`` take the lock if it is not held.

    ``torn`` is an incomplete line that a killed predecessor wrote; it is set when the spool is opened to append.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: bytes | None = None
        self._manifest: Manifest | None = None
        self._planned: frozenset[str] | None = None
        self._held = 0
        self._spool: Spool | None = None

    @classmethod
    def create(cls, runs_dir: Path, manifest: Manifest) -> RunFolder:
        """Create the folder of a new run and write its manifest.

        Raises:
            RecordError: the manifest does not fit the schema.
            RunFolderError: the run already exists, or the folder cannot be written.
        """
        if not RUN_ID.fullmatch(manifest.run_id) or manifest.run_id == LAST:
            raise RecordError(
                f"manifest: run_id {manifest.run_id!r} cannot be a folder name; use letters, digits, '.', '_' and '-'"
            )
        data = _manifest_bytes(manifest)
        run = cls(runs_dir / manifest.run_id)
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            run.path.mkdir()
            run.private.mkdir(mode=0o700)
            run.private.chmod(0o700)
            write_atomically(run.path / "manifest.json", data)
            sync_folder(runs_dir)
        except FileExistsError as error:
            raise RunFolderError(f"{run.path}: the run already exists; resume it, or choose another run id") from error
        except OSError as error:
            raise RunFolderError(f"{run.path}: cannot be created: {error.strerror}") from error
        return run

    @classmethod
    def open(cls, path_or_id: str | Path, runs_dir: Path) -> RunFolder:
        """Find a run by its folder, its id, a unique beginning of its id, or as ``last``.

        Raises:
            RunFolderError: there is no such run, or there are several.
        """
        name = str(path_or_id)
        if isinstance(path_or_id, Path) or os.sep in name or name in (".", ".."):
            path = Path(path_or_id)
            if not (path / "manifest.json").is_file():
                raise RunFolderError(f"{path}: not the folder of a run: it contains no manifest.json")
            return cls(path.resolve())
        runs = list_runs(runs_dir)
        matches = [run for run in runs if run.path.name == name]
        matches = matches or (runs[-1:] if name == LAST else [run for run in runs if run.path.name.startswith(name)])
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise RunFolderError(f"{name}: more than one run matches: {_names(matches)}. Give more of the id.")
        if not runs:
            raise RunFolderError(f"{runs_dir}: contains no runs yet")
        raise RunFolderError(f"{name}: no such run in {runs_dir}; it contains {_names(runs)}")

    @property
    def private(self) -> Path:
        """The folder for unredacted evidence; nothing in it ever leaves the machine."""
        return self.path / "private"

    @property
    def manifest(self) -> Manifest:
        """The manifest, read once.

        Raises:
            RecordError: it does not fit the schema; the message names the field.
            RunFolderError: it cannot be read.
        """
        if self._manifest is None:
            path = self.path / "manifest.json"
            try:
                self._manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
            except OSError as error:
                raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from error
            except CODEC_ERRORS as error:
                raise RecordError(f"{path}: not a manifest of this schema: {error}") from error
        return self._manifest

    def reading(self) -> Reading:
        """Read the spool: the records, their stored bytes, and a torn last line if there is one."""
        return read(self.path / "records.jsonl")

    def records(self) -> list[Record]:
        """Return the record of every attempt, in the order in which they were stored."""
        return [record for _, record in scan(self.path / "records.jsonl") if record is not None]

    def effective(self) -> dict[str, Record]:
        """Return the record that counts for each case: its highest attempt."""
        return highest_attempts(self.records())

    def append(self, record: Record) -> None:
        """Store a record durably. Hold the lock around several calls, so that the spool stays open between them.

        Raises:
            RecordError: it does not fit the schema, is not of this run or its plan, or differs from the stored one.
            RunFolderError: it could not be stored, or another process holds the lock of the run.
        """
        self._check_identity(record)
        with self.lock():
            if self._spool is None:
                self._spool = Spool(self.path / "records.jsonl")
                self.torn = self._spool.torn or self.torn
            self._spool.append(record)

    def close(self, closing: Closing) -> None:
        """Write the closing into the manifest; a resumed run is closed again with the next sequence number.

        Raises:
            RecordError: the closing does not fit the schema, or does not come after the stored one.
            RunFolderError: the manifest could not be written, or another process holds the lock of the run.
        """
        with self.lock():
            self._manifest = None
            before = self.manifest.closed
            if before == closing:
                return
            if before is not None and closing.sequence <= before.sequence:
                raise RecordError(
                    f"{self.path.name}: the run is closed with sequence number {before.sequence}; "
                    f"a new closing needs a higher number than that, not {closing.sequence}"
                )
            closed = msgspec.structs.replace(self.manifest, closed=closing)
            data = _manifest_bytes(closed)
            try:
                write_atomically(self.path / "manifest.json", data)
            except OSError as error:
                raise RunFolderError(
                    f"{self.path}: the end of the run could not be stored: {error.strerror}. The records are kept: "
                    "make room and run `exaworks validate --resume last`"
                ) from error
            self._manifest = closed

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing this run. May be nested; the kernel frees the lock when the process ends.

        Raises:
            RunFolderError: another process holds the lock, or the file system has no locks.
        """
        if self._held:
            self._held += 1
            try:
                yield
            finally:
                self._held -= 1
            return
        fd = self._acquire()
        self._held = 1
        try:
            yield
        finally:
            self._held = 0
            spool, self._spool = self._spool, None
            if spool is not None:
                spool.close()
            os.close(fd)

    def _acquire(self) -> int:
        path = self.private / "lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 300, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise RunFolderError(
                f"{self.path}: another process is writing this run (pid {holder}); wait until it ends, or end it"
            ) from None
        except OSError as error:
            os.close(fd)
            raise RunFolderError(
                f"{path}: cannot be locked: {error.strerror}. Set EXAWORKS_HOME to a file system that has locks."
            ) from error
        with contextlib.suppress(OSError):  # the text is only for other processes; a full disk must not stop us
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return fd

    def _check_identity(self, record: Record) -> None:
        manifest = self.manifest
        for field, theirs, ours in (
            ("run_id", record.run_id, manifest.run_id),
            ("context.site", record.context.site, manifest.site),
            ("context.system", record.context.system, manifest.system),
        ):
            if theirs != ours:
                raise RecordError(
                    f"the record of {record.case_id}: {field} is {theirs!r}, but the manifest of its run has {ours!r}"
                )
        if self._planned is None:
            self._planned = frozenset(planned.case_id for planned in manifest.planned)
        if record.case_id not in self._planned:
            raise RecordError(f"{record.case_id}: not among the planned cases of {manifest.run_id}")
        expected = record_id(manifest.site, manifest.system, manifest.run_id, record.case_id, record.retries.attempt)
        if record.record_id != expected:
            raise RecordError(
                f"the record of {record.case_id}: record_id is {record.record_id!r}, but site, system, run, case "
                f"and attempt give {expected}"
            )


def _manifest_bytes(manifest: Manifest) -> bytes:
    try:
        return encode(canonical(manifest)) + b"\n"
    except CODEC_ERRORS as error:
        raise RecordError(f"the manifest of {manifest.run_id} does not fit the schema: {error}") from error


def _names(runs: list[RunFolder], limit: int = 5) -> str:
    names = [run.path.name for run in runs[-limit:]]
    return ", ".join(names) + (f" and {len(runs) - limit} more" if len(runs) > limit else "")
