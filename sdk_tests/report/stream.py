"""Saying something to whoever listens, where nobody listening must not stop what is said about."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TextIO


def write_safely(stream: TextIO | None, write: Callable[[], object]) -> str | None:
    """Write, and return why the stream is of no more use: closed, full, or gone with its terminal or reader."""
    try:
        write()
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EIO):
            _silence(stream)
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return None


def _silence(stream: TextIO | None) -> None:
    """Point a stream whose other end is gone at nothing, or its buffer fails again when the process exits."""
    try:
        descriptor = stream.fileno() if stream is not None else -1
        nothing = os.open(os.devnull, os.O_WRONLY)
    except (OSError, ValueError):
        return
    os.dup2(nothing, descriptor)
    os.close(nothing)
