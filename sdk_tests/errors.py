"""Errors of the harness.

click.ClickException
└── HarnessError              exit code 2, one message
    ├── CaseError             the declaration of a case is wrong
    ├── DeploymentError       a deployment does not exist or cannot be activated
    ├── PlanError             the selection matches nothing, or no plan can be made
    ├── TestbedError          a testbed did not start, or its name is unknown
    ├── RunError              a run cannot be opened, resumed or continued
    └── NodesUnknownError     where a case ran cannot be judged
"""

from __future__ import annotations

import click


class HarnessError(click.ClickException):
    """An error that the harness reports to its user: printed as one message, never as a traceback."""

    exit_code = 2


class CaseError(HarnessError):
    """The declaration of a case is wrong; the message names the test function."""


class DeploymentError(HarnessError):
    """The deployment under test does not exist or cannot be activated."""


class PlanError(HarnessError):
    """The selection matches nothing, or no plan can be made for this system."""


class TestbedError(HarnessError):
    """A testbed did not start, or no testbed has that name."""

    __test__ = False


class RunError(HarnessError):
    """A run cannot be opened, resumed or continued."""


class NodesUnknownError(HarnessError):
    """The scheduler reported no nodes, so that a test function cannot judge where a case ran."""
