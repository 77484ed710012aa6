"""Errors of the site room.

click.ClickException
└── SiteError                 exit code 2, one message
    ├── SiteFileError         a site file that does not fit: names file, line and key, and the nearest known key
    ├── UnknownSystem         no such system; lists the known ones
    ├── NoSystemDetected      a scheduler answers but no site file matches this machine
    └── AmbiguousSystem       more than one site file matches this machine
"""

from __future__ import annotations

import click


class SiteError(click.ClickException):
    """Anything this room reports to a person; printed as one message, never as a traceback."""

    exit_code = 2


class SiteFileError(SiteError):
    """A site file does not fit the schema or contradicts itself."""


class UnknownSystem(SiteError):
    """No site file describes the named system."""


class NoSystemDetected(SiteError):
    """No site file matches this machine although a scheduler answers on it."""


class AmbiguousSystem(SiteError):
    """More than one site file matches this machine; the message names them all."""
