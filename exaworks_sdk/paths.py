"""Where state is stored: ``$EXAWORKS_HOME``, else the checkout's ``.exaworks``, else ``$XDG_STATE_HOME/exaworks``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from exaworks_sdk.errors import PlacesError
from exaworks_sdk.utf8_path import utf8_path


@dataclass(frozen=True)
class Places:
    """The folders of one user on one machine; ``checkout`` is None if the package is installed."""

    home: Path
    checkout: Path | None

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def testbeds(self) -> Path:
        return self.home / "testbeds"

    @property
    def deployments(self) -> Path:
        return self.home / "deployments"

    @property
    def collector(self) -> Path:
        return self.home / "collector"


def checkout() -> Path | None:
    """Return the root of the checkout from which this package is imported, or None if it is installed."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "exaworks").is_file() and (root / "pyproject.toml").is_file() else None


def places() -> Places:
    """Return the folders for state, after creating the home folder and checking that it is writable.

    Raises:
        PlacesError: the home folder cannot be created or is not writable.
    """
    root = checkout()
    named = os.environ.get("EXAWORKS_HOME")
    if named:
        home = Path(named).expanduser().absolute()
    elif root is not None:
        home = root / ".exaworks"
    else:
        state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        home = Path(state).expanduser().absolute() / "exaworks"
    try:
        home.mkdir(parents=True, exist_ok=True)
        home = Path(utf8_path(str(home)))
    except OSError as error:
        raise PlacesError(f"cannot create {home}: {error.strerror}. Set EXAWORKS_HOME to a writable folder.") from error
    if not os.access(home, os.W_OK):
        raise PlacesError(f"{home} is not writable. Set EXAWORKS_HOME to a writable folder.")
    return Places(home=home, checkout=root)
