"""Errors of this package.

click.ClickException
└── SiteError                 exit code 2, one message
    ├── SiteFileError         a mistake in a site file: names the file, line and key, and the nearest known key
    ├── UnknownSystem         no such system: names the nearest known one, or lists all
    ├── NoSystemDetected      a scheduler answers, but no site file matches this machine
    └── AmbiguousSystem       more than one site file matches this machine
"""

from __future__ import annotations

import click


class SiteError(click.ClickException):
    """Base of the errors that this package reports to the user, as one message and never as a traceback."""

    exit_code = 2


class SiteFileError(SiteError):
    """A site file does not fit the schema or contradicts itself."""


class UnknownSystem(SiteError):
    """No site file describes the named system."""


class NoSystemDetected(SiteError):
    """No site file matches this machine although a scheduler answers on it."""


class AmbiguousSystem(SiteError):
    """More than one site file matches this machine; the message names them all."""
