"""The spool: one file, one line a record, each line on disk before anything else happens to it."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import msgspec

from dashboard_client.durable import sync_folder
from dashboard_client.errors import RecordError, RunFolderError
from dashboard_client.schema import Record, canonical, encode

_log = logging.getLogger(__name__)

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space on the device, over quota, over the file-size limit: to who must act it is one thing."""

UNSTORABLE = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)
"""What encoding or decoding a value raises when it does not fit the schema, or JSON."""


@dataclass(frozen=True)
class Reading:
    """What a spool holds: ``lines`` are the very bytes of ``records``; ``torn`` is a last line without its end."""

    records: list[Record]
    torn: bytes | None
    lines: list[bytes]


def line_digest(line: bytes) -> str:
    """Return the sha256 hex of a line as stored, which is the record's digest because lines are canonical."""
    return hashlib.sha256(line).hexdigest()


def decode(line: bytes, where: str) -> Record:
    """Read one line; ``where`` opens the message of the error."""
    try:
        return msgspec.json.decode(line, type=Record)
    except UNSTORABLE as error:
        raise RecordError(f"{where}: not a record of this schema: {error}") from error


def read(path: Path) -> Reading:
    """Read every whole line of a spool; a spool that was never begun is empty.

    Raises:
        RecordError: a whole line is malformed, or two differ under one record_id; names line and field.
        RunFolderError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Reading([], None, [])
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from error
    whole, end, torn = data.rpartition(b"\n")
    lines = whole.split(b"\n") if end else []
    records = []
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        record = decode(line, f"{path}, line {number}")
        earlier = first.setdefault(record.record_id, number)
        if lines[earlier - 1] != line:
            raise RecordError(
                f"{path}, line {number}: record_id {record.record_id} ({record.case_id}) differs from line {earlier}; "
                "one attempt has one record"
            )
        records.append(record)
    return Reading(records, torn or None, lines)


class Spool:
    """The writing end. One process at a time, under the run folder's lock.

    ``torn`` is what a killed predecessor left of a line, cut off into ``<name>.torn`` when this one was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open for appending, and set a torn last line aside.

        Raises:
            RunFolderError: the file cannot be opened.
            RecordError: a whole line in it is malformed.
        """
        self.path = path
        fresh = not path.exists()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be opened for appending: {error.strerror}") from error
        try:
            reading = read(path)
            self.torn = reading.torn
            self._digests = {
                record.record_id: line_digest(line) for record, line in zip(reading.records, reading.lines, strict=True)
            }
            self._end = sum(len(line) + 1 for line in reading.lines)
            if reading.torn is not None:
                self._set_aside(reading.torn)
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
        """Store a record: one write, one fsync; when it returns, the record survives whatever comes.

        The same record again is no news. On any failure the file ends where it ended before.

        Raises:
            RecordError: the record does not fit the schema, or differs from the one stored under its record_id.
            RunFolderError: it could not be stored (disk full, input/output error).
        """
        try:
            line = encode(canonical(record))
        except UNSTORABLE as error:
            raise RecordError(f"the record of {record.case_id} does not fit the schema: {error}") from error
        digest = line_digest(line)
        stored = self._digests.get(record.record_id)
        if stored == digest:
            return
        if stored is not None:
            raise RecordError(
                f"{self.path}: {record.case_id}, attempt {record.retries.attempt} has a record already "
                f"(digest {stored}); another with digest {digest} is refused. A new attempt needs a new number."
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
            reason = f"disk full ({error.strerror})" if error.errno in FULL else str(error.strerror)
            self._take_back(record, reason, error)
        except BaseException:
            os.ftruncate(self._fd, self._end)
            raise
        self._take_back(record, reason, None)

    def _check_end(self) -> None:
        size = os.fstat(self._fd).st_size
        if size != self._end:
            raise RunFolderError(
                f"{self.path}: is {size} bytes long where this process left it at {self._end}; another process "
                "writes to it, or an earlier failed write could not be taken back. Open the run again to go on."
            )

    def _take_back(self, record: Record, reason: str, cause: OSError | None) -> NoReturn:
        told = f"{self.path}: {reason}: the record of {record.case_id} (attempt {record.retries.attempt}, "
        told += f"{record.verdict.outcome.value}, record_id {record.record_id}) is not stored. "
        try:
            os.ftruncate(self._fd, self._end)
        except OSError as error:
            raise RunFolderError(
                f"{told}Its torn line could not be taken back either ({error.strerror}); opening the run again will."
            ) from cause
        raise RunFolderError(f"{told}Earlier records are safe; make room and resume the run.") from cause

    def _set_aside(self, torn: bytes) -> None:
        """Keep the torn bytes in a file of their own before cutting them off, so that a kill between loses nothing."""
        aside = self.path.with_name(f"{self.path.name}.torn")
        with aside.open("ab") as stream:
            stream.write(torn + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.ftruncate(self._fd, self._end)
        os.fsync(self._fd)
        _log.warning("%s: the last line was torn (%d bytes); it is kept in %s", self.path, len(torn), aside.name)
