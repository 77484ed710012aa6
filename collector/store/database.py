"""Opening the database: SQLite in a file, or PostgreSQL by URL, with its schema brought up to date.

On SQLite one connection writes, guarded by a lock, and a pool of others only reads. Writing is synchronous to the
disk: what was acknowledged is there after a power cut.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from collector.errors import StoreError, StoreNewerError
from collector.store.mounts import shared_file_system
from collector.store.tables import HEAD, ROLLED_UP, metadata

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass
class Store:
    """An open database: ``writing()`` and ``reading()`` give a connection within a transaction."""

    url: URL
    writer: Engine
    reader: Engine
    notices: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None where another process holds the database."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection whose work is committed at the end, or undone by an exception."""
        if self.file is None:
            with self.writer.begin() as connection:
                yield connection
            return
        with self._lock, self.writer.begin() as connection:
            yield connection

    @contextmanager
    def held(self) -> Iterator[Connection]:
        """Yield a connection that keeps all other writers out; what it does is undone unless it commits."""
        with self._lock, self.writer.connect() as connection:
            if self.file is None:
                connection.execute(text("LOCK TABLE systems, runs IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database throughout."""
        with self.reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.reader.dispose()
        self.writer.dispose()


def database_url(database: str | None, folder: Path) -> URL:
    """Read what ``--database`` says: nothing, a path, or a URL.

    Raises:
        StoreError: it is neither, or names a database that this build does not know.
    """
    if not database:
        return URL.create("sqlite", database=str(folder / "collector.db"))
    if "://" not in database:
        return URL.create("sqlite", database=str(Path(database).absolute()))
    try:
        url = make_url(database)
    except ArgumentError as error:
        raise StoreError(f"--database {database!r} is no URL: use a path, sqlite:///PATH or postgresql://…") from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise StoreError("--database: a SQLite database needs a file; name a path.")
        return url.set(database=str(Path(url.database).absolute()))
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "postgresql":
        raise StoreError(f"--database {url.drivername}: only SQLite and PostgreSQL are supported.")
    return url


def open_store(url: URL) -> Store:
    """Open the database, making it or bringing its schema up to date where needed.

    Raises:
        StoreError: it cannot be opened or written, or its driver is not installed.
        StoreNewerError: a newer collector has migrated it.
    """
    try:
        store = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
        with store.writing() as connection:
            _bring_up_to_date(connection, url)
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError(f"the driver for {url.drivername} is not installed: pip install 'psycopg[binary]'") from error
    except (OSError, DBAPIError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"cannot open the database {url.render_as_string()}: {cause}") from error
    return store


def _postgresql(url: URL) -> Store:
    # Said by the client, UTF-8 holds for a database of SQL_ASCII too, of which texts would come as bytes.
    spoken = {"client_encoding": "UTF8"}
    engine = create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED", connect_args=spoken)
    return Store(url=url, writer=engine, reader=engine.execution_options(isolation_level="REPEATABLE READ"))


def _sqlite(url: URL) -> Store:
    file = Path(url.database or "")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.touch(mode=0o600, exist_ok=True)
    shared = shared_file_system(file)
    writer = create_engine(url, pool_size=1, max_overflow=0)
    reader = create_engine(url, pool_size=4, max_overflow=4)
    store = Store(url=url, writer=writer, reader=reader)

    @event.listens_for(writer, "connect")
    def _open_writer(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 30000")
        wanted = "DELETE" if shared else "WAL"
        got = str(connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]).upper()
        if shared:
            store.notices.append(
                f"{file} lies on {shared}, where SQLite's write-ahead log does not work: journal mode {got} is used, "
                "and readers may wait for writers. A local disk is faster; PostgreSQL is better for a shared one."
            )
        elif got != "WAL":
            store.notices.append(f"{file}: SQLite chose journal mode {got} over WAL; readers may wait for writers.")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA journal_size_limit = 67108864")

    @event.listens_for(reader, "connect")
    def _open_reader(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA query_only = ON")

    @event.listens_for(writer, "begin")
    def _begin_writing(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(reader, "begin")
    def _begin_reading(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return store


def _bring_up_to_date(connection: Connection, url: URL) -> None:
    """Make or migrate the schema within the given transaction; Alembic is imported only where there is an old one."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7305124)"))
    here: str | None = None
    if inspect(connection).has_table("alembic_version"):
        here = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if here == HEAD:
        return
    if here is None:
        metadata.create_all(connection)
        tune(connection)
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
        return
    migrate(connection, url, here)


def migrate(connection: Connection, url: URL, here: str | None) -> None:
    """Take the schema from one revision to the newest, and make the roll-ups anew where there were facts."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if here is not None and here not in known:
        raise StoreNewerError(
            f"the database {url.render_as_string()} has schema {here}, which is newer than this collector's {HEAD}. "
            "Use the newer exaworks that made it, or another --database."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    tune(connection)
    if here is not None and here < ROLLED_UP:
        from collector.store.recompute import rebuild

        rebuild(connection)


def tune(connection: Connection) -> None:
    """Have PostgreSQL pack bodies by LZ4 where it was built with that: its own way takes as long as the rest of ingest.

    Cells keep room beside each row for its next state, so that an update touches no index.
    """
    if connection.dialect.name != "postgresql":
        return
    known = "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    if connection.execute(text(known)).scalar():
        connection.execute(text("ALTER TABLE bodies ALTER COLUMN body SET COMPRESSION lz4"))
    connection.execute(text("ALTER TABLE cells SET (fillfactor = 60)"))
