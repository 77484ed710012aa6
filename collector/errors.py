"""Errors of the collector room.

click.ClickException
└── CollectorError            exit code 2, one message: what, where, what to do
    ├── AddressError          an address that cannot or must not be listened on
    ├── ExportError           a folder that must not or cannot be written
    ├── HookError             no such hook, or an address that cannot be told
    ├── BackupError           a backup that cannot be written, read or restored here
    ├── SettingsError         the configuration file cannot be read, or a value in it is wrong
    ├── StoreError            a database that cannot be opened or written
    │   ├── StoreBusyError    the SQLite file is already served by another process
    │   └── StoreNewerError   the database was made by a newer collector
    ├── TokenError            a token that is not known, or an expiry that cannot be read
    └── WaiverError           no such waiver, or one that cannot be set

Exception
└── Problem                   what a client did wrong; becomes a problem document (RFC 9457)
"""

from __future__ import annotations

from typing import Any

import click


class CollectorError(click.ClickException):
    """Anything this room reports to the person who runs it; printed as one message, never as a traceback."""

    exit_code = 2


class AddressError(CollectorError):
    """The address to listen on is taken, not on this machine, or open to others without that being asked for."""


class ExportError(CollectorError):
    """The folder of an export holds something else, or cannot be written."""


class HookError(CollectorError):
    """No such hook, or an address that cannot be told."""


class BackupError(CollectorError):
    """A backup cannot be written, is damaged or of another schema, or the database to fill is not empty."""


class SettingsError(CollectorError):
    """The configuration file cannot be read, or says what cannot be; the message names file and key."""


class StoreError(CollectorError):
    """The database cannot be opened, read or written; the message names it."""


class StoreBusyError(StoreError):
    """Another process serves this SQLite file."""


class StoreNewerError(StoreError):
    """The database has a schema that this build does not know."""


class TokenError(CollectorError):
    """No such token, or an expiry that is not a date."""


class WaiverError(CollectorError):
    """No such waiver, or one that says what cannot be."""


class Problem(Exception):
    """What a client sent that cannot be taken, and why: ``field`` names the place in what was sent.

    ``more`` holds the members that a kind of problem adds, such as both digests of a conflict.
    """

    def __init__(self, status: int, kind: str, detail: str, field: str | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.field = field
        self.more = more

    def document(self) -> dict[str, Any]:
        """Return the problem document; its ``type`` is stable and meant for programs."""
        title = self.kind.replace("-", " ").capitalize()
        doc: dict[str, Any] = {"type": f"urn:exaworks:problem:{self.kind}", "title": title}
        doc |= {"status": self.status, "detail": self.detail}
        if self.field is not None:
            doc["field"] = self.field
        return doc | self.more
