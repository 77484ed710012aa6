"""Read what a collector knows, as typed values: cells, runs, records, changes and notes.

    from dashboard_client.reading import Collector

    with Collector("https://status.example.org") as collector:
        for cell in collector.cells(site="ornl", component="parsl"):
            print(cell.system, cell.case_id, cell.outcome, cell.last_pass)

Lists are requested page by page while they are iterated. A request is sent again after a broken connection and after an
answer that asks for it. Filters are those of the dashboard (docs/dashboard.md); a list of values means any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import requests

from dashboard_client.schema import Record
from dashboard_client.wire import CollectorClient, Policy

DEFAULT_POLICY = Policy(attempts=4)

Filter = str | Iterable[str] | None
A = TypeVar("A")


class Cell(msgspec.Struct, frozen=True):
    """The present state of a case on a system; ``states`` are flaky, failing, missing and stale."""

    site: str
    system: str
    case_id: str
    component: str
    scheduler: str
    outcome: str
    states: list[str]
    run_id: str
    started: datetime
    since: datetime
    last_pass: datetime | None
    first_fail: datetime | None
    first_fail_run: str | None
    version: str | None
    emulated: bool
    history: list[str]
    flake_score: float


class Run(msgspec.Struct, frozen=True):
    """The summary of a run; ``counts`` are its cases by outcome."""

    run_id: str
    site: str
    system: str
    started: datetime
    ended: datetime | None
    trigger: str | None
    release: str | None
    tier: str | None
    partial: bool
    state: str
    exit_code: int | None
    records: int
    counts: dict[str, int]


class Change(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """Cells of one component version that newly fail for one fault class, or that recovered.

    If the site or its scheduler is at fault, the group is of no component.
    """

    recovered: bool
    cls: str | None
    component: str | None
    version: str | None
    cells: int
    systems: int
    named: list[str]
    latest: datetime


class Note(msgspec.Struct, frozen=True):
    """What people noted about a cause at a site, or at every site (``*``)."""

    cause_key: str
    site: str
    owner: str | None
    note: str | None
    link: str | None
    snoozed_until: str | None
    changed: datetime
    changed_by: str


class _Cells(msgspec.Struct):
    cells: list[Cell]
    after: int | None


class _Runs(msgspec.Struct):
    runs: list[Run]
    before: str | None


class _Records(msgspec.Struct):
    records: list[Record]
    after: int | None


class _Changes(msgspec.Struct):
    changes: list[Change]


class _Notes(msgspec.Struct):
    notes: list[Note]


class Collector:
    """A collector to read from. Without a token, the results that everybody may see are read."""

    def __init__(self, url: str, token: str | None = None, policy: Policy = DEFAULT_POLICY) -> None:
        """Check the address and the token.

        Raises:
            UploadError: one of them is not valid, or the token would be sent unencrypted to another machine.
        """
        self._session = requests.Session()
        self._client = CollectorClient(url, token, self._session, policy)

    def cells(self, *, state: str | None = None, **filters: Filter) -> Iterator[Cell]:
        """Yield cells; ``state``: only flaky, failing, missing or stale ones.

        Raises:
            Refused: a filter is not valid, or the token does not permit this.
            UploadError: the collector does not answer.
        """
        query, after = _query(filters, state=state), "0"
        while True:
            page = self._client.get("/api/v1/cells", {**query, "after": after}, _Cells)
            yield from page.cells
            if page.after is None:
                return
            after = str(page.after)

    def runs(self, **filters: Filter) -> Iterator[Run]:
        """Yield runs, the newest first; raise like ``cells``."""
        query = _query(filters, limit="500")
        while True:
            page = self._client.get("/api/v1/runs", query, _Runs)
            yield from page.runs
            if page.before is None:
                return
            query["before"] = page.before

    def records(self, run: Run) -> Iterator[Record]:
        """Yield the records of a run as they were sent, in the order of their arrival; raise like ``cells``."""
        path = f"/api/v1/runs/{quote(run.run_id, safe='')}/records"
        after = "0"
        while True:
            page = self._client.get(path, {"site": run.site, "system": run.system, "after": after}, _Records)
            yield from page.records
            if page.after is None:
                return
            after = str(page.after)

    def changes(self, since: str = "24h", **filters: Filter) -> list[Change]:
        """Return what newly fails and what recovered since a time: ``24h``, ``7d``, or an instant in ISO 8601."""
        return self._client.get("/index.json", _query(filters, since=since), _Changes).changes

    def notes(self) -> list[Note]:
        """Return what people noted about causes of failures."""
        return self._client.get("/api/v1/triage", {}, _Notes).notes

    def page(self, path: str, **query: Filter) -> dict[str, Any]:
        """Return the facts of any page of the dashboard, such as ``/triage`` or ``/systems/ornl/frontier``."""
        name = "/index" if path.strip("/") == "" else "/" + path.strip("/")
        return self._client.get(f"{name}.json", _query(query), dict)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Collector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _query(filters: dict[str, Filter], **more: str | None) -> dict[str, str]:
    """Return filters as the query of an address; several values of a filter are separated by commas."""
    texts = {name: value if isinstance(value, str | None) else ",".join(value) for name, value in filters.items()}
    named = {"class" if name == "cls" else name: value for name, value in {**texts, **more}.items()}
    return {name: value for name, value in named.items() if value is not None}
