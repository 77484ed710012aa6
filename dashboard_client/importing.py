"""Send a result file of another tool to a collector, which decodes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import requests

from dashboard_client.errors import ResultsError
from dashboard_client.wire import CollectorClient, Policy

CONTENT_TYPES = {"junit": "application/xml", "e4s": "application/json"}


class ImportReport(msgspec.Struct, frozen=True):
    """The collector's answer to an imported file."""

    run_id: str
    stored: bool
    records: int
    counts: dict[str, int]
    rejected: list[dict[str, Any]]


def send_file(
    file: Path, file_format: str, parameters: Mapping[str, str], url: str, token: str, policy: Policy
) -> ImportReport:
    """Send a file unchanged. ``parameters`` names the system, and may name run, site, component and scheduler.

    Raises:
        ResultsError: the file cannot be read.
        UploadError: the collector did not answer, or refused the file.
    """
    try:
        body = file.read_bytes()
    except OSError as error:
        raise ResultsError(f"{file}: cannot be read: {error.strerror}") from error
    with requests.Session() as session:
        client = CollectorClient(url, token, session, policy)
        path = f"/api/v1/import/{file_format}?{urlencode(parameters)}"
        return client.post(path, body, ImportReport, CONTENT_TYPES[file_format])
