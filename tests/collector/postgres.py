"""A PostgreSQL server for the tests: a cluster in a private folder, reached by a socket in that folder.

It ends with the tests, also if they are killed: a watcher process reads a pipe of the tests. When the pipe is closed,
it stops the server and removes the folder.
"""

from __future__ import annotations

import itertools
import os
import pwd
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from collector.store.database import database_url, open_store
from collector.store.tables import metadata
from tests.needs import need

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
    "restart_after_crash": "on",
}

UNSAFE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
"""Faster settings, for tests that do not crash the server."""

WATCH = """
cat
while read -r pid 2>/dev/null <data/postmaster.pid && [ "$(readlink "/proc/$pid/cwd")" = "$PWD/data" ]; do
    kill -INT "$pid"
    sleep 0.1
done
rm -rf "$PWD"
"""
"""The watcher: wait for the end of the input, then stop the server and its clients, until no server is left."""


class Cluster:
    """A running cluster. If root runs the tests, another user owns it, because PostgreSQL refuses to run as root."""

    def __init__(self, safe: bool = False, folder: Path | None = None) -> None:
        """``safe``: use the default durability. ``folder``: use this folder, with the cluster in it, and keep it."""
        self.bin = Path(os.path.realpath(need("postgres"))).parent
        self.kept = folder is not None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="exaworks-pg-"))
        self.folder.mkdir(exist_ok=True)
        self.settings = SETTINGS | ({} if safe else UNSAFE)
        self.numbers = itertools.count(1)
        self.clean: list[str] = []
        self.template: str | None = None
        self.owner = self._owner()
        if self.owner is not None:
            os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        script = WATCH.replace('rm -rf "$PWD"', "") if self.kept else WATCH
        self.watcher = subprocess.Popen(
            ["sh", "-c", script], cwd=self.folder, stdin=subprocess.PIPE, start_new_session=True
        )
        if not (self.folder / "data" / "PG_VERSION").exists():
            options = ("--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
            self._run("initdb", "-D", "data", "-U", "exaworks", *options)
        self.start()

    def _owner(self) -> pwd.struct_passwd | None:
        if os.geteuid() != 0:
            return None
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        return names.get("postgres") or names["nobody"]

    def _as_owner(self) -> dict[str, object]:
        if self.owner is None:
            return {}
        return {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, **self._as_owner())  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [option for name, value in self.settings.items() for option in ("-c", f"{name}={value}")]
        command = [str(self.bin / "postgres"), "-D", "data", "-k", str(self.folder), *options]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **self._as_owner(),  # type: ignore[call-overload]
        )
        log.close()
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def dsn(self, database: str) -> str:
        return f"host={self.folder} user=exaworks dbname={database}"

    def fresh(self, more: str = "") -> str:
        """Create an empty database and return its URL."""
        return self._create(f"CREATE DATABASE test{next(self.numbers)} {more}")

    def named(self, name: str) -> str:
        """Return the URL of a database, and create the database if it does not exist."""
        with psycopg.connect(self.dsn("postgres")) as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        return (
            f"postgresql://exaworks@/{name}?host={self.folder}" if exists else self._create(f"CREATE DATABASE {name}")
        )

    def ready(self) -> str:
        """Return the URL of a database with the collector's tables and no rows; ``clear`` makes it available again."""
        if self.clean:
            return self.clean.pop()
        if self.template is None:
            url = self.fresh()
            open_store(database_url(url, self.folder)).close()
            self.template = _name(url)
        return self._create(f"CREATE DATABASE test{next(self.numbers)} TEMPLATE {self.template}")

    def clear(self, url: str) -> None:
        """Delete all rows of a database, so that another test can use it."""
        with psycopg.connect(self.dsn(_name(url)), options="-c lock_timeout=20s") as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(f"DELETE FROM {table.name}")
        self.clean.append(url)

    def _create(self, statement: str) -> str:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement)
        return f"postgresql://exaworks@/{statement.split()[2]}?host={self.folder}"

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self) -> None:
        """Stop the server and remove its folder, unless the caller gave the folder."""
        if self.watcher.stdin is not None:
            self.watcher.stdin.close()
        self.process.wait(timeout=300)
        self.watcher.wait(timeout=300)


def _name(url: str) -> str:
    return url.rpartition("?")[0].rpartition("/")[2]
