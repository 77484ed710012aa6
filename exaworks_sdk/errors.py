"""Errors of the root room.

    click.ClickException
    └── ExaworksError             exit code 2, one message: what, where, what to do
        ├── PlacesError           no writable place for state
        └── ReleaseError          a release manifest that is absent or wrong
"""

from __future__ import annotations

import click


class ExaworksError(click.ClickException):
    """Anything the command line reports to a person; printed as one message, never as a traceback."""

    exit_code = 2


class PlacesError(ExaworksError):
    """No writable place for environments, runs and testbeds."""


class ReleaseError(ExaworksError):
    """A release manifest is absent or does not fit its schema."""
