"""Pushing a run to a collector: a reader of the spool, which may be repeated at any time and from any machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import requests

from dashboard_client.durable import write_whole
from dashboard_client.errors import RecordError, UploadError
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Closing, Manifest, digest, encode
from dashboard_client.spool import Reading, line_digest
from dashboard_client.wire import Policy, Problem, Refused, Wire

_log = logging.getLogger(__name__)

A = TypeVar("A")

PATIENT = Policy()

Progress = Callable[[int, int], None]
"""Called with the number of records acknowledged and the number there are."""


class _RunAnswer(msgspec.Struct, frozen=True):
    run_id: str
    digest: str
    stored: bool = False


class _Acknowledged(msgspec.Struct, frozen=True):
    record_id: str
    digest: str


class _Rejected(msgspec.Struct, frozen=True):
    index: int
    problem: Problem
    record_id: str | None = None


class _RecordsAnswer(msgspec.Struct, frozen=True):
    acknowledged: list[_Acknowledged]
    rejected: list[_Rejected] = []


class _CloseAnswer(msgspec.Struct, frozen=True):
    run_id: str
    digest: str
    sequence: int


class Memory(msgspec.Struct, kw_only=True):
    """What one collector has acknowledged of a run: digests of each record and of the last closing."""

    acknowledged: dict[str, str] = msgspec.field(default_factory=dict)
    closing: str | None = None


@dataclass(frozen=True)
class Rejection:
    """A record that the collector does not take, and why."""

    record_id: str
    case_id: str
    reason: str


@dataclass
class PushReport:
    """What a push came to. ``sent`` and ``already`` count records acknowledged by this push and by earlier ones."""

    run_id: str
    url: str
    total: int
    sent: int = 0
    already: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    closed: int | None = None
    unclosed: str | None = None
    torn: bool = False

    @property
    def exit_code(self) -> int:
        """0 when the collector has everything that is stored, 1 otherwise."""
        return 1 if self.rejected else 0


def push(
    run: RunFolder,
    url: str,
    token: str,
    *,
    session: requests.Session | None = None,
    progress: Progress | None = None,
    policy: Policy = PATIENT,
) -> PushReport:
    """Send what the collector does not have yet: the manifest, then records by their stored bytes, then the closing.

    What it acknowledges is remembered in the run's private folder, batch by batch, so that a push that was cut off
    carries on where it was. A record counts once however often it is sent.

    Raises:
        UploadError: the collector did not answer or refused, or holds something else under the same name.
        RecordError: the run's files are damaged.
    """
    if session is None:
        with requests.Session() as own:
            return push(run, url, token, session=own, progress=progress, policy=policy)
    wire = Wire(url, token, session, policy)
    return _Push(run, wire, policy, progress or (lambda done, total: None)).run_all()


class _Push:
    def __init__(self, run: RunFolder, wire: Wire, policy: Policy, progress: Progress) -> None:
        self.run = run
        self.wire = wire
        self.policy = policy
        self.progress = progress
        self.manifest: Manifest = run.manifest
        self.reading: Reading = run.reading()
        self.book = _Book(run.private / "pushed.json", wire.url)
        self.report = PushReport(
            self.manifest.run_id, wire.url, len(self.reading.records), torn=self.reading.torn is not None
        )

    def run_all(self) -> PushReport:
        self._check_canonical()
        self._open()
        known = self.book.memory.acknowledged
        owed = [index for index, line in enumerate(self.reading.lines) if not self._is_known(index, line, known)]
        self.report.already = self.report.total - len(owed)
        self.progress(self.report.already, self.report.total)
        for batch in self._batches(owed):
            self._send(batch)
        if self.manifest.closed is not None:
            try:
                self._close(self.manifest.closed)
            except UploadError as error:
                if not self.report.rejected:
                    raise
                self.report.unclosed = error.message  # the rejections are what its reader needs to see first
        return self.report

    def _check_canonical(self) -> None:
        for number, (record, line) in enumerate(zip(self.reading.records, self.reading.lines, strict=True), start=1):
            if encode(record) != line:
                raise RecordError(
                    f"{self.run.path / 'records.jsonl'}, line {number}: was changed after it was written "
                    f"({record.case_id}); its digest could not be acknowledged"
                )

    def _is_known(self, index: int, line: bytes, known: dict[str, str]) -> bool:
        record_id = self.reading.records[index].record_id
        return record_id in known and known[record_id] == line_digest(line)

    def _open(self) -> None:
        opening = msgspec.structs.replace(self.manifest, closed=None)
        ours = digest(opening)
        answer = self._post("/api/v1/runs", encode(opening), _RunAnswer, "manifest", ours)
        _agree("manifest", ours, answer.digest)
        if answer.stored and self.book.memory != Memory():
            _log.warning("%s: has lost what it had acknowledged of this run; sending all again", self.wire.url)
            self.book.memory = Memory()
            self.book.save()

    def _batches(self, owed: Sequence[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        size = 0
        for index in owed:
            length = len(self.reading.lines[index]) + 1
            if batch and (len(batch) >= self.policy.batch_records or size + length > self.policy.batch_bytes):
                yield batch
                batch, size = [], 0
            batch.append(index)
            size += length
        if batch:
            yield batch

    def _send(self, batch: list[int]) -> None:
        body = b'{"records":[' + b",".join(self.reading.lines[index] for index in batch) + b"]}"
        try:
            answer = self.wire.post("/api/v1/records", body, _RecordsAnswer)
        except Refused as error:
            if error.status != 413:
                raise
            if len(batch) == 1:
                self._reject(batch[0], error.problem)
                return
            half = len(batch) // 2  # something on the way takes less than a batch at a time
            self._send(batch[:half])
            self._send(batch[half:])
            return
        owed = {self.reading.records[index].record_id: index for index in batch}
        for entry in answer.acknowledged:
            index = owed.pop(entry.record_id, -1)
            if index < 0:
                raise UploadError(f"{self.wire.url}: acknowledged {entry.record_id}, which was not sent")
            case_id = self.reading.records[index].case_id
            _agree(f"record of {case_id}", line_digest(self.reading.lines[index]), entry.digest)
            self.book.memory.acknowledged[entry.record_id] = entry.digest
            self.report.sent += 1
        for rejected in answer.rejected:
            if not 0 <= rejected.index < len(batch):
                raise UploadError(f"{self.wire.url}: rejected record {rejected.index} of a batch of {len(batch)}")
            index = batch[rejected.index]
            owed.pop(self.reading.records[index].record_id, None)
            self._reject(index, rejected.problem)
        self.book.save()
        if owed:
            raise UploadError(
                f"{self.wire.url}: did not say what became of {len(owed)} of {len(batch)} records; push again"
            )
        self.progress(self.report.already + self.report.sent, self.report.total)

    def _reject(self, index: int, problem: Problem) -> None:
        record = self.reading.records[index]
        reason = str(problem) + _both(problem.sent_digest, problem.stored_digest)
        self.report.rejected.append(Rejection(record.record_id, record.case_id, reason))

    def _close(self, closing: Closing) -> None:
        ours = digest(closing)
        path = f"/api/v1/runs/{self.manifest.run_id}/close"
        if self.book.memory.closing != ours:
            answer = self._post(path, encode(closing), _CloseAnswer, "closing", ours)
            _agree("closing", ours, answer.digest)
            self.book.memory.closing = ours
            self.book.save()
        self.report.closed = closing.sequence

    def _post(self, path: str, body: bytes, answer: type[A], what: str, ours: str) -> A:
        try:
            return self.wire.post(path, body, answer)
        except Refused as error:
            if error.status != 409:
                raise
            theirs = error.problem.stored_digest or "of a digest it does not tell"
            raise UploadError(
                f"{self.wire.url}: holds another {what} of {self.manifest.run_id} ({error.problem}): "
                f"ours is {ours}, theirs {theirs}"
            ) from error


class _Book:
    """``pushed.json``: what each collector acknowledged. Losing it costs sending again, nothing more."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url
        self._all: dict[str, Memory] = {}
        try:
            self._all = msgspec.json.decode(path.read_bytes(), type=dict[str, Memory])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.warning("%s: not readable (%s); everything is sent again", path, error)
        self.memory = self._all.get(url, Memory())

    def save(self) -> None:
        self._all[self.url] = self.memory
        try:
            write_whole(self.path, msgspec.json.encode(self._all), mode=0o600)
        except OSError as error:
            _log.warning("%s: cannot be written (%s); a later push sends this again", self.path, error.strerror)


def _agree(what: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        raise UploadError(f"the collector acknowledged another {what} than was sent: ours is {ours}, theirs {theirs}")


def _both(ours: str | None, theirs: str | None) -> str:
    return f" (ours is {ours}, theirs {theirs})" if ours and theirs else ""
