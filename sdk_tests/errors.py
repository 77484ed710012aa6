"""Errors of the harness room.

click.ClickException
└── HarnessError              exit code 2, one message
    ├── CaseError             a case that is declared wrongly
    ├── DeploymentError       a deployment that is not there or cannot be activated
    ├── PlanError             a selection that matches nothing, or a plan that cannot be made
    ├── TestbedError          a testbed that did not come up, or is not known
    └── RunError              a run that cannot be opened, resumed or carried on
"""

from __future__ import annotations

import click


class HarnessError(click.ClickException):
    """Anything this room reports to a person; printed as one message, never as a traceback."""

    exit_code = 2


class CaseError(HarnessError):
    """A case is declared wrongly; the message names the test function."""


class DeploymentError(HarnessError):
    """The deployment under test is not there or cannot be activated."""


class PlanError(HarnessError):
    """The selection matches nothing, or no plan can be made for this system."""


class TestbedError(HarnessError):
    """A testbed did not come up, or no testbed of that name is known."""

    __test__ = False


class RunError(HarnessError):
    """A run cannot be opened, resumed or carried on."""
