"""Errors of the results package.

click.ClickException
└── ResultsError              exit code 2, one message: what, where, what to do
    ├── RecordError           a record or manifest that does not fit the schema
    ├── RunFolderError        a run folder that is absent, unreadable or in use
    └── UploadError           the collector refused a request or did not answer
"""

from __future__ import annotations

import click


class ResultsError(click.ClickException):
    """An error that is reported to the user: printed as one message, never as a traceback."""

    exit_code = 2


class RecordError(ResultsError):
    """A record or manifest does not fit the schema; the message names the field."""


class RunFolderError(ResultsError):
    """A run folder is absent, unreadable, damaged or held by another process."""


class UploadError(ResultsError):
    """The collector refused a request or did not answer; a later push sends the unacknowledged records."""

    exit_code = 1
