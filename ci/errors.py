"""Errors of this package.

click.ClickException
└── CiError                   exit code 2, one message
    ├── NoPipelineError       the system has no pipeline: it is retired, or its file has no trigger or cadence
    ├── SiteValueError        a value of the site file cannot be used in a pipeline
    ├── StageError            a stage cannot be run, or its results cannot be read or written
    └── GitLabError           GitLab's API refused a request, or python-gitlab is not installed
"""

from __future__ import annotations

import click


class CiError(click.ClickException):
    """Base of the errors that this package reports to the user, as one message and never as a traceback."""

    exit_code = 2


class NoPipelineError(CiError):
    """No pipeline or cron script can be generated for this system."""


class SiteValueError(CiError):
    """A value of the site file, or of an option, cannot be used in a pipeline."""


class StageError(CiError):
    """A stage's command cannot be run, or its results cannot be read or written."""


class GitLabError(CiError):
    """A request to GitLab's API failed."""
