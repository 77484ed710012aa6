"""The spool: one file with one record a line. Each line is on disk before anything else is done with its record."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import msgspec

from dashboard_client.durable import sync_folder
from dashboard_client.errors import RecordError, RunFolderError
from dashboard_client.schema import Context, Record, Stack, canonical, encode

_log = logging.getLogger(__name__)

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space on the device, over quota, over the file-size limit: in each case the user must make room."""

CODEC_ERRORS = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)
"""The errors of encoding or decoding a value that does not fit the schema, or JSON."""


@dataclass(frozen=True)
class Reading:
    """The content of a spool. ``lines``: the stored bytes of ``records``. ``torn``: a last line without its end."""

    records: list[Record]
    torn: bytes | None
    lines: list[bytes]


def line_digest(line: bytes) -> str:
    """Return the sha256 hex digest of a stored line. Lines are canonical, so it is also the record's digest."""
    return hashlib.sha256(line).hexdigest()


def decode(line: bytes, where: str) -> Record:
    """Decode one line; ``where`` is the beginning of the error message."""
    try:
        return msgspec.json.decode(line, type=Record)
    except CODEC_ERRORS as error:
        raise RecordError(f"{where}: not a record of this schema: {error}") from error


def read(path: Path) -> Reading:
    """Read every line of a spool; a spool that does not exist is empty. Raises the errors of ``scan``."""
    reading = Reading([], None, [])
    for line, record in scan(path):
        if record is None:
            return Reading(reading.records, line, reading.lines)
        reading.lines.append(line)
        reading.records.append(record)
    return reading


def scan(path: Path) -> Iterator[tuple[bytes, Record | None]]:
    """Yield each line of a spool with its record, or with None for a last line without its end.

    Raises:
        RecordError: a complete line is malformed, or two lines with one record_id differ; names line and field.
        RunFolderError: the file cannot be read.
    """
    first: dict[str, tuple[int, str]] = {}
    parts: dict[bytes, Context | Stack] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    yield line, None
                    return
                line = line[:-1]
                record = decode(line, f"{path}, line {number}")
                digest = line_digest(line)
                earlier, known = first.setdefault(record.record_id, (number, digest))
                if known != digest:
                    raise RecordError(
                        f"{path}, line {number}: this record of {record.case_id} differs from line {earlier}, which "
                        f"has the same record_id {record.record_id}. An attempt has only one record; the file is "
                        "damaged."
                    )
                yield line, _sharing(record, parts)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from error


def _sharing(record: Record, parts: dict[bytes, Context | Stack]) -> Record:
    """Return the record with an earlier one's parts where they are equal, as in nearly all records of a run."""
    context = parts.setdefault(encode(record.context), record.context)
    stack = parts.setdefault(encode(record.stack), record.stack)
    return msgspec.structs.replace(record, context=context, stack=stack)


class Spool:
    """The writing end of a spool. One process at a time may write, under the lock of the run folder.

    ``torn`` is an incomplete line that a killed predecessor wrote. Opening the spool moves it to ``<name>.torn``.
    """

    def __init__(self, path: Path) -> None:
        """Open the spool for appending, and move a torn last line to a file of its own.

        Raises:
            RunFolderError: the file cannot be opened.
            RecordError: a complete line in it is malformed.
        """
        self.path = path
        self.torn: bytes | None = None
        fresh = not path.exists()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be opened for appending: {error.strerror}") from error
        try:
            self._digests: dict[str, str] = {}
            self._end = 0
            for line, record in scan(path):
                if record is None:
                    self.torn = line
                else:
                    self._digests[record.record_id] = line_digest(line)
                    self._end += len(line) + 1
            if self.torn is not None:
                self._set_aside(self.torn)
            if fresh:
                sync_folder(path.parent)
        except OSError as error:
            os.close(self._fd)
            raise RunFolderError(f"{path}: cannot be prepared for appending: {error.strerror}") from error
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    def append(self, record: Record) -> None:
        """Store a record with one write and one fsync. Once this returns, the record survives a crash or power failure.

        A record that is already stored is not stored again. After any failure the file has its previous length.

        Raises:
            RecordError: the record does not fit the schema, or differs from the stored one with its record_id.
            RunFolderError: the record could not be stored (disk full, input/output error).
        """
        try:
            line = encode(canonical(record))
        except CODEC_ERRORS as error:
            raise RecordError(f"the record of {record.case_id} does not fit the schema: {error}") from error
        digest = line_digest(line)
        stored = self._digests.get(record.record_id)
        if stored == digest:
            return
        if stored is not None:
            raise RecordError(
                f"{self.path}: attempt {record.retries.attempt} of {record.case_id} has a record already (digest "
                f"{stored}); a different one (digest {digest}) is refused. A new attempt needs a new attempt number."
            )
        self._check_end()
        line += b"\n"
        try:
            written = os.write(self._fd, line)
            if written == len(line):
                os.fsync(self._fd)
                self._digests[record.record_id] = digest
                self._end += written
                return
            reason = f"disk full (only {written} of {len(line)} bytes could be written)"
        except OSError as error:
            reason = f"disk full ({error.strerror})" if error.errno in DISK_FULL else str(error.strerror)
            self._undo_write(record, reason, error)
        except BaseException:
            os.ftruncate(self._fd, self._end)
            raise
        self._undo_write(record, reason, None)

    def _check_end(self) -> None:
        size = os.fstat(self._fd).st_size
        if size != self._end:
            raise RunFolderError(
                f"{self.path}: the file has {size} bytes, but this process expects {self._end}: another process writes "
                "to it, or an earlier failed write could not be undone. End that process, then resume the run."
            )

    def _undo_write(self, record: Record, reason: str, cause: OSError | None) -> NoReturn:
        text = f"{self.path}: {reason}: the record of {record.case_id} (attempt {record.retries.attempt}, "
        text += f"{record.verdict.outcome.value}, record_id {record.record_id}) is not stored. "
        try:
            os.ftruncate(self._fd, self._end)
        except OSError as error:
            raise RunFolderError(
                f"{text}Its torn line could not be removed either ({error.strerror}); resuming the run removes it."
            ) from cause
        raise RunFolderError(f"{text}Earlier records are safe; make room and resume the run.") from cause

    def _set_aside(self, torn: bytes) -> None:
        """Copy the torn bytes to a file of their own before removing them, so that a kill in between loses nothing."""
        aside = self.path.with_name(f"{self.path.name}.torn")
        with aside.open("ab") as stream:
            stream.write(torn + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.ftruncate(self._fd, self._end)
        os.fsync(self._fd)
        _log.warning("%s: the last line was torn (%d bytes); it was moved to %s", self.path, len(torn), aside.name)
