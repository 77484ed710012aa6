"""Databases for the benchmarks: SQLite files, or a PostgreSQL server with its default durability, in a folder."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

KINDS = ("sqlite", "postgresql")


class Databases:
    """Databases of one kind, by name; a folder given as ``keep`` is not removed, and its databases are used again."""

    def __init__(self, kind: str, keep: Path | None = None) -> None:
        self.kind = kind
        self._stack = ExitStack()
        self.folder = keep or Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.folder.mkdir(parents=True, exist_ok=True)
        if kind == "postgresql":
            from tests.collector.postgres import Cluster

            if keep is not None:  # the server's user, who is not root, needs access
                self.folder.chmod(0o755)
            self.cluster = Cluster(safe=True, folder=self.folder / "postgresql" if keep else None)
            self._stack.callback(self.cluster.remove)

    def url(self, name: str) -> str:
        """Return the URL of a database, which is created if it does not exist."""
        if self.kind == "sqlite":
            return f"sqlite:///{self.folder / name / 'collector.db'}"
        return self.cluster.named(name)

    def home(self, name: str) -> Path:
        """Return the home of a database's collector. It keeps the key that belongs to the tokens in the database."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return home

    def __enter__(self) -> Databases:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
