"""Errors of the images room.

click.ClickException
└── ImagesError               exit code 2, one message
    ├── NoImageError          no image, base or Apptainer definition of that name
    ├── EngineError           no engine here, or one that cannot do what was asked
    └── BuildError            the engine could not build or push; carries its own last line and what to do
"""

from __future__ import annotations

import click


class ImagesError(click.ClickException):
    """Anything this room reports to a person; printed as one message, never as a traceback."""

    exit_code = 2


class NoImageError(ImagesError):
    """There is no image, base or definition of that name."""


class EngineError(ImagesError):
    """No engine is here, or it cannot do what was asked of it."""


class BuildError(ImagesError):
    """An image could not be built or pushed."""
