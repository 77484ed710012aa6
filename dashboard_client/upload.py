"""Push a run to a collector. A push only reads the spool; it may be repeated at any time, from any machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
import requests

from dashboard_client.durable import write_atomically
from dashboard_client.errors import RecordError, UploadError
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Closing, Manifest, Record, digest, encode
from dashboard_client.spool import Reading, line_digest
from dashboard_client.wire import CollectorClient, Policy, Problem, Refused

_log = logging.getLogger(__name__)

A = TypeVar("A")

DEFAULT_POLICY = Policy()

Progress = Callable[[int, int], None]
"""A callback that receives the number of acknowledged records and the number of all records."""


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


class CollectorState(msgspec.Struct, kw_only=True):
    """What one collector has acknowledged of a run: digests of the records by record_id, and of the last closing."""

    acknowledged: dict[str, str] = msgspec.field(default_factory=dict)
    closing: str | None = None


@dataclass(frozen=True)
class Rejection:
    """A record that the collector rejected, and the reason."""

    record_id: str
    case_id: str
    reason: str


@dataclass
class PushReport:
    """The result of a push.

    ``sent`` and ``already`` count the records that the collector acknowledged in this push and in earlier ones.
    ``closed`` is the sequence number of the acknowledged closing, ``unclosed`` the reason why it was not accepted.
    ``torn`` is true if the spool ends in an incomplete line, which is not sent.
    """

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
        """0 when the collector has every stored record and the closing, 1 otherwise."""
        return 1 if self.rejected or self.closed is None else 0


def push(
    run: RunFolder,
    url: str,
    token: str,
    *,
    progress: Progress | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> PushReport:
    """Send what the collector does not have yet: the manifest, then the records as stored, then the closing.

    Acknowledgements are stored in the run's private folder after each batch, so that an interrupted push continues
    where it stopped. A record counts once, however often it is sent.

    Raises:
        UploadError: the collector did not answer, refused a request, or has different data under the same name.
        RecordError: the run's files are damaged.
    """
    with requests.Session() as session:
        client = CollectorClient(url, token, session, policy)
        return _Push(run, client, policy, progress or (lambda done, total: None)).execute()


class _Push:
    def __init__(self, run: RunFolder, client: CollectorClient, policy: Policy, progress: Progress) -> None:
        self.run = run
        self.client = client
        self.policy = policy
        self.progress = progress
        self.manifest: Manifest = run.manifest
        self.reading: Reading = run.reading()
        self.pushed = _PushedFile(run.private / "pushed.json", client.url)
        self.report = PushReport(
            self.manifest.run_id, client.url, len(self.reading.records), torn=self.reading.torn is not None
        )

    def execute(self) -> PushReport:
        self._check_canonical()
        self._open()
        unsent = [index for index, line in enumerate(self.reading.lines) if not self._is_acknowledged(index, line)]
        self.report.already = self.report.total - len(unsent)
        self.progress(self.report.already, self.report.total)
        for batch in self._batches(unsent):
            self._send(batch)
        if self.manifest.closed is not None:
            try:
                self._close(self.manifest.closed)
            except UploadError as error:
                if not self.report.rejected:
                    raise
                self.report.unclosed = error.message  # the user needs to see the rejections first
        return self.report

    def _check_canonical(self) -> None:
        for number, (record, line) in enumerate(zip(self.reading.records, self.reading.lines, strict=True), start=1):
            if encode(record) != line:
                raise RecordError(
                    f"{self.run.path / 'records.jsonl'}, line {number}: the record of {record.case_id} was changed "
                    "after it was written, so its digest no longer matches. Restore the original line."
                )

    def _is_acknowledged(self, index: int, line: bytes) -> bool:
        known = self.pushed.state.acknowledged.get(self.reading.records[index].record_id)
        return known is not None and known == line_digest(line)

    def _open(self) -> None:
        opening = msgspec.structs.replace(self.manifest, closed=None)
        ours = digest(opening)
        state = None if self.manifest.closed is None else "ended"  # its closing follows
        answer = self._post("/api/v1/runs", encode(opening), _RunAnswer, "manifest", ours, state)
        _check_digest("manifest", ours, answer.digest)
        if answer.stored and self.pushed.state != CollectorState():
            _log.warning("%s: the collector has lost the acknowledged records; sending all again", self.client.url)
            self.pushed.state = CollectorState()
            self.pushed.save()

    def _batches(self, unsent: Sequence[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        size = 0
        for index in unsent:
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
            answer = self.client.post("/api/v1/records", body, _RecordsAnswer)
        except Refused as error:
            if error.status != 413:
                raise
            if len(batch) == 1:
                self._reject(batch[0], error.problem)
                return
            half = len(batch) // 2  # a server or proxy accepts only smaller requests
            self._send(batch[:half])
            self._send(batch[half:])
            return
        pending = {self.reading.records[index].record_id: index for index in batch}
        for entry in answer.acknowledged:
            index = pending.pop(entry.record_id, -1)
            if index < 0:
                raise UploadError(f"{self.client.url}: acknowledged record {entry.record_id}, which was not sent")
            case_id = self.reading.records[index].case_id
            _check_digest(f"record of {case_id}", line_digest(self.reading.lines[index]), entry.digest)
            self.pushed.state.acknowledged[entry.record_id] = entry.digest
            self.report.sent += 1
        for rejected in answer.rejected:
            if not 0 <= rejected.index < len(batch):
                raise UploadError(
                    f"{self.client.url}: the collector rejected record {rejected.index} of a batch of {len(batch)}"
                )
            index = batch[rejected.index]
            pending.pop(self.reading.records[index].record_id, None)
            self._reject(index, rejected.problem)
        self.pushed.save()
        if pending:
            raise UploadError(
                f"{self.client.url}: the collector neither acknowledged nor rejected {len(pending)} of {len(batch)} "
                "records; push again"
            )
        self.progress(self.report.already + self.report.sent, self.report.total)

    def _reject(self, index: int, problem: Problem) -> None:
        record = self.reading.records[index]
        reason = str(problem) + _format_digests(problem.sent_digest, problem.stored_digest)
        if _too_new(record, problem):
            reason += (
                f". The collector is older than this version: it does not read records of schema {record.schema}. "
                "Update the collector, then push this run again"
            )
        self.report.rejected.append(Rejection(record.record_id, record.case_id, reason))

    def _close(self, closing: Closing) -> None:
        ours = digest(closing)
        place = urlencode({"site": self.manifest.site, "system": self.manifest.system})
        path = f"/api/v1/runs/{self.manifest.run_id}/close?{place}"
        if self.pushed.state.closing != ours:
            answer = self._post(path, encode(closing), _CloseAnswer, "closing", ours)
            _check_digest("closing", ours, answer.digest)
            self.pushed.state.closing = ours
            self.pushed.save()
        self.report.closed = closing.sequence

    def _post(self, path: str, body: bytes, answer: type[A], what: str, ours: str, run_state: str | None = None) -> A:
        try:
            return self.client.post(path, body, answer, run_state=run_state)
        except Refused as error:
            if error.status != 409:
                raise
            theirs = error.problem.stored_digest or "unknown"
            raise UploadError(
                f"{self.client.url}: the collector has a different {what} of {self.manifest.run_id} ({error.problem}): "
                f"our digest is {ours}, the collector's is {theirs}"
            ) from error


class _PushedFile:
    """``pushed.json``: what each collector has acknowledged. If the file is lost, all records are sent again."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url
        self._all: dict[str, CollectorState] = {}
        try:
            self._all = msgspec.json.decode(path.read_bytes(), type=dict[str, CollectorState])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.warning("%s: cannot be read (%s); all records are sent again", path, error)
        self.state = self._all.get(url, CollectorState())

    def save(self) -> None:
        self._all[self.url] = self.state
        try:
            write_atomically(self.path, msgspec.json.encode(self._all), mode=0o600)
        except OSError as error:
            _log.warning(
                "%s: cannot be written (%s); the next push sends these records again", self.path, error.strerror
            )


def _check_digest(what: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        raise UploadError(
            f"the collector acknowledged a different {what} than the one that was sent: our digest is {ours}, "
            f"the collector's is {theirs}"
        )


def _too_new(record: Record, problem: Problem) -> bool:
    """Return whether a collector rejected a record because it reads only earlier schema versions."""
    text = f"{problem.detail} {problem.field}"
    return record.schema > 1 and (f"schema {record.schema} is not supported" in text or "`diagnosis`" in text)


def _format_digests(ours: str | None, theirs: str | None) -> str:
    return f" (our digest is {ours}, the collector's is {theirs})" if ours and theirs else ""
