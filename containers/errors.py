"""Errors of this package.

click.ClickException
└── ImagesError               exit code 2, one message
    ├── NoImageError          no image, base image or definition has that name
    ├── EngineError           no engine is on PATH, or the engine does not support an option
    └── BuildError            the engine could not build or push; the message has its last error line and advice
"""

from __future__ import annotations

import click


class ImagesError(click.ClickException):
    """Base of the errors that this package reports to the user, as one message and never as a traceback."""

    exit_code = 2


class NoImageError(ImagesError):
    """No image, base image or definition has that name."""


class EngineError(ImagesError):
    """No engine is on PATH, or the engine does not support an option."""


class BuildError(ImagesError):
    """An image could not be built or pushed."""
