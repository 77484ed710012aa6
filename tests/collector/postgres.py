"""A PostgreSQL of the tests' own: a cluster in a folder that only its user enters, reached by a socket in there."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from tests.needs import need

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
    "restart_after_crash": "on",
}


class Cluster:
    """A running cluster; as root it belongs to an ordinary user, since PostgreSQL refuses to run as root."""

    def __init__(self, safe: bool = False) -> None:
        self.bin = Path(os.path.realpath(need("postgres"))).parent
        self.folder = Path(tempfile.mkdtemp(prefix="exaworks-pg-"))
        self.settings = SETTINGS | ({} if safe else {"fsync": "off", "synchronous_commit": "off"})
        self.owner = self._owner()
        if self.owner is not None:
            os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        self.numbers = itertools.count(1)
        self._run("initdb", "-D", "data", "-U", "exaworks", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
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

    def _run(self, program: str, *words: str) -> None:
        command = [str(self.bin / program), *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, **self._as_owner())  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the server and wait until it answers."""
        words = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(self.bin / "postgres"), "-D", "data", "-k", str(self.folder), *words]
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

    def fresh(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test{next(self.numbers)}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return f"postgresql://exaworks@/{name}?host={self.folder}"

    def drop(self, url: str) -> None:
        """Remove a database again."""
        name = url.rpartition("?")[0].rpartition("/")[2]
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]

    def kill(self) -> None:
        """Kill the server as a power cut of its process would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self) -> None:
        """End the server and remove everything of it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # a fast shutdown: it ends its clients
            self.process.wait(timeout=60)
        shutil.rmtree(self.folder)
