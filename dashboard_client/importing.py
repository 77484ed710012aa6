"""Send a result file of another tool to a collector, which decodes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import requests

from dashboard_client.errors import ResultsError
from dashboard_client.wire import CollectorClient, Policy

CONTENT_TYPES = {"junit": "application/xml", "e4s": "application/json"}
_TIMESTAMP = re.compile(rb"timestamp\s*=\s*[\"'](\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)")


class ImportReport(msgspec.Struct, frozen=True):
    """The collector's answer to an imported file."""

    run_id: str
    stored: bool
    dialect: str
    started: str
    stale_after: str
    records: int
    counts: dict[str, int]
    rejected: list[dict[str, Any]]


def send_file(
    file: Path, file_format: str, parameters: Mapping[str, str], url: str, token: str, policy: Policy
) -> ImportReport:
    """Send a file unchanged, with its modification time and the time zone of this machine.

    ``parameters`` names the system, and may name run, site, component, scheduler, stale_after and timezone.

    Raises:
        ResultsError: the file cannot be read.
        UploadError: the collector did not answer, or refused the file.
    """
    try:
        body = file.read_bytes()
        modified = file.stat().st_mtime
    except OSError as error:
        raise ResultsError(f"{file}: cannot be read: {error.strerror}") from error
    with requests.Session() as session:
        client = CollectorClient(url, token, session, policy)
        times = {"modified": datetime.fromtimestamp(int(modified), timezone.utc).isoformat().replace("+00:00", "Z")}
        if file_format == "junit":
            times["timezone"] = local_offset(body, modified)
        path = f"/api/v1/import/{file_format}?{urlencode(times | dict(parameters))}"
        return client.post(path, body, ImportReport, CONTENT_TYPES[file_format])


def local_offset(body: bytes, modified: float) -> str:
    """Return the offset of this machine's time zone from UTC, such as ``-0600``, at the time of a file.

    That is the first time in the file, else its modification time in seconds since 1970: an offset can change twice a
    year.
    """
    first = _TIMESTAMP.search(body)
    try:
        moment = datetime.fromisoformat(first[1].decode()) if first else datetime.fromtimestamp(modified)
        return f"{moment.astimezone():%z}"[:5]
    except (ValueError, OverflowError, OSError):
        return f"{datetime.now().astimezone():%z}"[:5]
