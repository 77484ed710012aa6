"""Sending a result file of another tool as it is; the collector reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import requests

from dashboard_client.errors import ResultsError
from dashboard_client.wire import Policy, Wire

KINDS = {"junit": "application/xml", "e4s": "application/json"}


class Imported(msgspec.Struct, frozen=True):
    """What the collector made of a file."""

    run_id: str
    stored: bool
    records: int
    counts: dict[str, int]
    rejected: list[dict[str, Any]]


def send_file(file: Path, form: str, asked: Mapping[str, str], url: str, token: str, policy: Policy) -> Imported:
    """Send a file; ``asked`` says of which system it is, and may name run, site, component and scheduler.

    Raises:
        ResultsError: the file cannot be read.
        UploadError: the collector did not answer, or refused.
    """
    try:
        body = file.read_bytes()
    except OSError as error:
        raise ResultsError(f"{file}: cannot be read: {error.strerror}") from error
    with requests.Session() as session:
        wire = Wire(url, token, session, policy)
        return wire.post(f"/api/v1/import/{form}?{urlencode(asked)}", body, Imported, KINDS[form])
