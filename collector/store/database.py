"""Open the database, SQLite in a file or PostgreSQL by URL, and update its schema.

On SQLite, one connection writes, protected by a lock, and a pool of other connections only reads. Writes are
synchronous to the disk, so that everything that was acknowledged survives a power failure.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from collector.clock import now_ms
from collector.errors import StoreError, StoreNewerError
from collector.store.months import prepare_months
from collector.store.mounts import shared_file_system
from collector.store.tables import HEAD, REFRESHED, ROLLED_UP, metadata, systems

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass
class Store:
    """An open database. ``writing()`` and ``reading()`` yield a connection inside a transaction."""

    url: URL
    writer: Engine
    reader: Engine
    notices: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None for PostgreSQL."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection whose work is committed at the end, or rolled back after an exception."""
        if self.file is None:
            with self.writer.begin() as connection:
                yield connection
            return
        with self._lock, self.writer.begin() as connection:
            yield connection

    @contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """Yield a connection that locks out all other writers; its work is rolled back unless the caller commits it."""
        with self._lock, self.writer.connect() as connection:
            if self.file is None:
                connection.execute(text("LOCK TABLE systems, runs IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that reads one state of the database until its end."""
        with self.reader.begin() as connection:
            yield connection

    @contextmanager
    def outside_transaction(self) -> Iterator[Any]:
        """Yield the writing connection of the ``sqlite3`` module, for statements that no transaction may contain."""
        with self._lock:
            pooled = self.writer.raw_connection()
            try:
                yield pooled.driver_connection
            finally:
                pooled.close()

    def close(self) -> None:
        """Close every connection."""
        self.reader.dispose()
        self.writer.dispose()


def database_url(database: str | None, folder: Path) -> URL:
    """Return the URL for the value of ``--database``: nothing, a path, or a URL.

    Raises:
        StoreError: the value is not valid, or names a kind of database that is not supported.
    """
    if not database:
        return URL.create("sqlite", database=str(folder / "collector.db"))
    if "://" not in database:
        return URL.create("sqlite", database=str(Path(database).absolute()))
    try:
        url = make_url(database)
    except ArgumentError as error:
        message = f"--database {database!r} is not a valid URL. Use a path, sqlite:///PATH or postgresql://HOST/NAME."
        raise StoreError(message) from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise StoreError("--database: a SQLite database needs a file. Name a path.")
        return url.set(database=str(Path(url.database).absolute()))
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "postgresql":
        raise StoreError(
            f"--database {url.drivername}: is not supported. Use SQLite (a path) or PostgreSQL (postgresql://HOST/NAME)."
        )
    return url


def open_store(url: URL) -> Store:
    """Open the database; create it, or update its schema, if needed.

    Raises:
        StoreError: it cannot be opened or written, or its driver is not installed.
        StoreNewerError: a newer collector has updated its schema.
    """
    try:
        with ExitStack() as opened:
            store = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
            opened.callback(store.close)
            with _without_foreign_keys(store), store.writing() as connection:
                _update_schema(connection, url)
                prepare_months(connection, (), now_ms())
            opened.pop_all()
    except (ImportError, NoSuchModuleError) as error:
        message = f"the driver for {url.drivername} is not installed. Run: pip install 'psycopg[binary]'"
        raise StoreError(message) from error
    except (OSError, DBAPIError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"cannot open the database {url.render_as_string()}: {cause}") from error
    return store


@contextmanager
def _without_foreign_keys(store: Store) -> Iterator[None]:
    """Do not check the foreign keys of SQLite meanwhile: a migration replaces tables that others refer to."""
    if store.file is None:
        yield
        return
    with store.outside_transaction() as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        with store.outside_transaction() as connection:
            connection.execute("PRAGMA foreign_keys = ON")


def _postgresql(url: URL) -> Store:
    # Without a client encoding, psycopg returns bytes for the texts of a database whose encoding is SQL_ASCII.
    arguments = {"client_encoding": "UTF8"}
    engine = create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED", connect_args=arguments)
    return Store(url=url, writer=engine, reader=engine.execution_options(isolation_level="REPEATABLE READ"))


def _sqlite(url: URL) -> Store:
    file = Path(url.database or "")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.touch(mode=0o600, exist_ok=True)
    shared = shared_file_system(file)
    writer = create_engine(url, pool_size=1, max_overflow=0)
    reader = create_engine(url, pool_size=4, max_overflow=4)
    store = Store(url=url, writer=writer, reader=reader)

    def open_writer(connection: sqlite3.Connection) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 30000")
        if not file.stat().st_size:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that the file can become shorter
        requested = "DELETE" if shared else "WAL"
        mode = str(connection.execute(f"PRAGMA journal_mode = {requested}").fetchone()[0]).upper()
        if shared:
            store.notices.append(
                f"{file} is on the shared file system {shared}, where SQLite's write-ahead log does not work. Journal "
                f"mode {mode} is used, and readers may wait for writers. Use a local disk, or PostgreSQL."
            )
        elif mode != "WAL":
            store.notices.append(f"{file}: SQLite uses journal mode {mode}, not WAL; readers may wait for writers.")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA journal_size_limit = 67108864")

    def open_reader(connection: sqlite3.Connection) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA query_only = ON")

    _configure(writer, open_writer)
    _configure(reader, open_reader)

    @event.listens_for(writer, "begin")
    def _begin_writing(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(reader, "begin")
    def _begin_reading(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return store


def _configure(engine: Engine, configure: Callable[[sqlite3.Connection], None]) -> None:
    """Configure every new connection of SQLite; one for which that fails is closed, which the pool does not do."""

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        try:
            configure(connection)
        except BaseException:
            connection.close()
            raise


def _update_schema(connection: Connection, url: URL) -> None:
    """Create or migrate the schema in the given transaction; Alembic is imported only to migrate an old schema."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7305124)"))
    revision: str | None = None
    if inspect(connection).has_table("alembic_version"):
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision == HEAD:
        return
    if revision is None:
        metadata.create_all(connection)
        tune(connection)
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
        return
    migrate(connection, url, revision)


def migrate(connection: Connection, url: URL, revision: str | None) -> None:
    """Migrate the schema from a revision to the newest, and recompute the roll-ups if their columns changed."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreNewerError(
            f"the database {url.render_as_string()} has schema {revision}, which is newer than this collector's {HEAD}."
            " Use the newer version of exaworks that updated it, or another --database."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    tune(connection)
    if revision is not None and revision < ROLLED_UP:
        from collector.store.recompute import recompute_rollups

        recompute_rollups(connection)
    elif revision is not None and revision < REFRESHED:
        from collector.store.rollups import refresh_board

        for system in connection.execute(select(systems.c.id)).scalars().all():
            refresh_board(connection, system)


def tune(connection: Connection) -> None:
    """Set storage options of PostgreSQL.

    Bodies are compressed with LZ4 if the server was built with it; the default method takes as long as the rest of
    ingest. Pages of ``cells`` keep free space, so that an update of a row touches no index.
    """
    if connection.dialect.name != "postgresql":
        return
    known = "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    if connection.execute(text(known)).scalar():
        connection.execute(text("ALTER TABLE bodies ALTER COLUMN body SET COMPRESSION lz4"))
    connection.execute(text("ALTER TABLE cells SET (fillfactor = 60)"))
