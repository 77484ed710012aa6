"""Errors of the root package.

click.ClickException
└── ExaworksError             exit code 2, one message: what, where, what to do
    ├── PlacesError           no writable folder for state
    ├── InstallError          a deployment that could not be created
    ├── CommandError          a command that could not be loaded
    ├── SelftestError         no checkout to test
    ├── TutorialsError        no notebooks, or no JupyterLab
    └── ReleaseError          a release manifest that is absent or wrong
"""

from __future__ import annotations

import click


class ExaworksError(click.ClickException):
    """An error that is reported to the user: printed as one message, never as a traceback."""

    exit_code = 2


class PlacesError(ExaworksError):
    """There is no writable folder for environments, runs and testbeds."""


class ReleaseError(ExaworksError):
    """A release manifest is absent or does not fit its schema."""


class InstallError(ExaworksError):
    """A deployment could not be created; the message has the last error of pip or Spack and the path of its log."""


class CommandError(ExaworksError):
    """A command could not be loaded; the other commands still work."""


class SelftestError(ExaworksError):
    """The package is installed without its tests."""


class TutorialsError(ExaworksError):
    """The notebooks could not be written, or JupyterLab could not be started."""
