"""Errors of the root room.

click.ClickException
└── ExaworksError             exit code 2, one message: what, where, what to do
    ├── PlacesError           no writable place for state
    ├── InstallError          a deployment that could not be made
    ├── CommandError          a room's command that could not be loaded
    ├── SelftestError         no checkout to test
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


class InstallError(ExaworksError):
    """A deployment could not be made; the message holds pip's own last error and names its whole output."""


class CommandError(ExaworksError):
    """A room's command could not be loaded; the others still work."""


class SelftestError(ExaworksError):
    """The package was installed without its tests."""
