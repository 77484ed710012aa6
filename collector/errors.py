"""Errors of the collector.

click.ClickException
└── CollectorError            exit code 2, one message: what, where, what to do
    ├── AddressError          the server cannot or must not listen on the address
    ├── ExportError           the folder cannot or must not be written
    ├── HookError             the hook does not exist, or its address is not valid
    ├── BackupError           a backup cannot be written, read or restored here
    ├── SettingsError         the configuration file cannot be read, or a value in it is wrong
    ├── StoreError            the database cannot be opened or written
    │   ├── StoreBusyError    another process already serves the SQLite file
    │   └── StoreNewerError   a newer collector created or updated the database
    ├── TokenError            the token or the sender is not known, or the token has ended
    ├── TriageError           the cause is not known, or a field of its note is wrong
    ├── UnknownSystemError    the system does not exist, or its new name is taken
    └── WaiverError           the waiver does not exist, or one of its fields is wrong

Exception
└── Problem                   a request that is refused; becomes a problem document (RFC 9457)
"""

from __future__ import annotations

from typing import Any

import click


class CollectorError(click.ClickException):
    """An error for the person who runs the command; printed as one message, never as a traceback."""

    exit_code = 2


class AddressError(CollectorError):
    """The address is in use, is not of this machine, or is reachable from others without ``--allow-remote``."""


class ExportError(CollectorError):
    """The folder of an export contains files of another origin, or cannot be written."""


class HookError(CollectorError):
    """The hook does not exist, or its address is not valid."""


class BackupError(CollectorError):
    """The backup cannot be written, is damaged or has another schema, or the database to restore is not empty."""


class SettingsError(CollectorError):
    """The configuration file cannot be read, or a value in it is wrong; the message names file and key."""


class StoreError(CollectorError):
    """The database cannot be opened, read or written; the message names it."""


class StoreBusyError(StoreError):
    """Another process serves this SQLite file."""


class StoreNewerError(StoreError):
    """The database has a schema that this build does not know."""


class TokenError(CollectorError):
    """The token or the sender is not known, or the token has ended."""


class TriageError(CollectorError):
    """The cause is not known, or a field of its note is wrong."""


class UnknownSystemError(CollectorError):
    """The system does not exist, or its new name is that of another system."""


class WaiverError(CollectorError):
    """The waiver does not exist, or one of its fields is wrong."""


class Problem(Exception):
    """The reason why a request, or part of it, is refused.

    ``status``: the HTTP status. ``kind``: the stable name of the problem. ``field``: the place in the request.
    ``more``: members that this kind of problem adds, such as both digests of a conflict.
    """

    def __init__(self, status: int, kind: str, detail: str, field: str | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.field = field
        self.more = more

    def document(self) -> dict[str, Any]:
        """Return the problem document (RFC 9457); its ``type`` is stable and meant for programs."""
        title = self.kind.replace("-", " ").capitalize()
        doc: dict[str, Any] = {"type": f"urn:exaworks:problem:{self.kind}", "title": title}
        doc |= {"status": self.status, "detail": self.detail}
        if self.field is not None:
            doc["field"] = self.field
        return doc | self.more
