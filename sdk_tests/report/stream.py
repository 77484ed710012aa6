"""Writing to a stream whose reader may be gone, without stopping the work that is reported on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TextIO


def write_safely(stream: TextIO | None, write: Callable[[], object]) -> str | None:
    """Write, and return why the stream can no longer be used: closed, full, or its reader is gone; None if it can."""
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
    """Redirect a stream without a reader to the null device; otherwise flushing it fails again at exit."""
    try:
        descriptor = stream.fileno() if stream is not None else -1
        null = os.open(os.devnull, os.O_WRONLY)
    except (OSError, ValueError):
        return
    os.dup2(null, descriptor)
    os.close(null)
