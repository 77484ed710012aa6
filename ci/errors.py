"""Errors of the pipeline room.

click.ClickException
└── CiError                   exit code 2, one message
    ├── NoPipelineError       this system has no pipeline: it is retired, or unknown
    ├── SiteValueError        a value of the site file cannot be put into a pipeline
    ├── StageError            a stage could not be run, or its results not be written
    └── GitLabError           GitLab's API refused, or python-gitlab is not installed
"""

from __future__ import annotations

import click


class CiError(click.ClickException):
    """Anything this room reports to a person; printed as one message, never as a traceback."""

    exit_code = 2


class NoPipelineError(CiError):
    """There is nothing to generate for this system."""


class SiteValueError(CiError):
    """A value of the site file has no place in a pipeline."""


class StageError(CiError):
    """A stage's command or its results folder could not be used."""


class GitLabError(CiError):
    """GitLab could not be asked or told."""
