"""The server process: one for each database, announced by a ready file, safe to kill, and stopped with its user."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from sqlalchemy import Connection, create_engine

from collector.errors import StoreError, StoreNewerError
from collector.store.database import database_url, migrate, open_store
from collector.store.mounts import shared_file_system
from collector.store.tables import HEAD, metadata
from tests.collector.process import Collector, batch, tool, wait_until
from tests.collector.samples import closing, manifest, record


def test_nothing_is_lost_or_duplicated_when_the_server_is_killed_while_it_stores_records(tmp_path: Path) -> None:
    cases = [f"psij/bulk:n={number}@slurm" for number in range(3000)]
    sent = [record("killed", case) for case in cases]
    bodies = [batch(sent[start : start + 100]) for start in range(0, len(sent), 100)]
    served = Collector(tmp_path)
    served.open(manifest("killed", cases))
    acknowledged: set[str] = set()
    enough = threading.Event()

    def push() -> None:
        for body in bodies:
            try:
                answer = served.post("/api/v1/records", body)
            except requests.RequestException:
                return
            acknowledged.update(item["record_id"] for item in answer.json()["acknowledged"])
            if len(acknowledged) >= 600:
                enough.set()

    pusher = threading.Thread(target=push)
    pusher.start()
    assert enough.wait(60)
    served.stop(signal.SIGKILL)
    pusher.join(60)
    assert 600 <= len(acknowledged) < len(sent)
    assert (tmp_path / "ready.json").exists()
    served.start()
    stored = served.get("/api/v1/runs/killed").json()["records"]
    assert stored >= len(acknowledged)
    assert all(served.get(f"/api/v1/records/{each}").status_code == 200 for each in sorted(acknowledged)[::97])
    for body in bodies:
        assert served.post("/api/v1/records", body).json()["rejected"] == []
    served.close("killed", closing(len(cases)))
    shown = served.get("/api/v1/runs/killed").json()
    assert (shown["records"], shown["counts"]) == (3000, {"pass": 3000})
    assert served.stop() == 0
    with sqlite3.connect(tmp_path / "collector" / "collector.db") as database:
        assert database.execute("SELECT count(*), count(DISTINCT cell) FROM records").fetchone() == (3000, 3000)
        assert database.execute("SELECT count(*) FROM bodies").fetchone() == (3000,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_second_server_on_the_same_file_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    served = Collector(tmp_path)
    second = tool(tmp_path, "serve", "--port", "0")
    assert second.returncode == 2
    assert f"already served at {served.url} by process {served.process.pid}" in second.stderr
    assert served.get("/readyz").json() == {"status": "ok", "schema": HEAD}
    assert served.stop() == 0
    served.start()
    assert served.stop(signal.SIGINT) == 0


def test_the_ready_file_exists_while_connections_are_accepted(tmp_path: Path) -> None:
    served = Collector(tmp_path)
    file = tmp_path / "ready.json"
    about = json.loads(file.read_text())
    assert {"url", "pid", "started"} <= about.keys()
    assert (about["url"], about["pid"]) == (served.url, served.process.pid)
    token = Path(about["token_file"])
    for private in (file, token, tmp_path / "collector" / "collector.db", tmp_path / "collector" / "token.key"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert served.open(manifest("by-file"), token=token.read_text().strip()).status_code == 201
    assert served.stop() == 0
    assert not file.exists()
    assert not token.exists()


def test_the_server_stops_with_the_process_named_by_exit_with(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        served = Collector(tmp_path, "--exit-with", str(other.pid))
        assert served.get("/healthz").status_code == 200
        other.kill()
        other.communicate()
        assert served.process.wait(timeout=20) == 0
    served.stop()
    assert not (tmp_path / "ready.json").exists()


def test_the_server_does_not_start_if_the_process_named_by_exit_with_has_ended(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    answer = tool(tmp_path, "serve", "--port", "0", "--exit-with", ended.stdout.decode().strip())
    assert answer.returncode == 0
    assert not (tmp_path / "collector" / "ready.json").exists()


def test_an_address_that_other_machines_can_reach_needs_allow_remote(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::"):
        refused = tool(tmp_path, "serve", "--port", "0", "--host", host)
        assert (refused.returncode, "--allow-remote" in refused.stderr) == (2, True)
    served = Collector(tmp_path, "--host", "0.0.0.0", "--allow-remote")
    assert served.url.startswith("http://0.0.0.0:")
    assert served.stop() == 0


def test_an_address_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = tool(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert (refused.returncode, "cannot listen" in refused.stderr) == (2, True)
    assert "Traceback" not in refused.stderr


def test_a_database_of_a_newer_collector_is_not_opened(tmp_path: Path) -> None:
    url = database_url(None, tmp_path)
    open_store(url).close()
    database = sqlite3.connect(tmp_path / "collector.db")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    with pytest.raises(StoreNewerError, match=f"schema 9999, which is newer than this collector's {HEAD}"):
        open_store(url)


def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of a database here\n" * 100)
    refused = tool(tmp_path, "token", "list", "--database", str(tmp_path / "notes.txt"))
    assert (refused.returncode, "cannot open the database" in refused.stderr) == (2, True)
    for wrong in ("mysql://h/d", "sqlite://", "http://["):
        with pytest.raises(StoreError):
            database_url(wrong, tmp_path)


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_the_migrations_create_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    url = database_url(None, tmp_path)
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection, url, None)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        migrated = indexes(connection)
    engine.dispose()
    again = open_store(database_url(None, tmp_path))
    with again.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    again.close()
    created = open_store(database_url(str(tmp_path / "created.db"), tmp_path))
    with created.reading() as connection:
        assert indexes(connection) == migrated  # also the index of an expression, which compare_metadata ignores
    created.close()


def indexes(connection: Connection) -> dict[str, str]:
    """Return the statements that created the indexes of a SQLite database."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    return {name: sql.replace("(run >> 5)", "run >> 5") for name, sql in rows}


def test_the_write_ahead_log_is_not_used_on_a_shared_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 259:2 / / rw - ext4 /dev/root rw\n"
        f"40 22 0:50 / {tmp_path} rw,relatime shared:7 - nfs4 filer:/home rw,vers=4.2\n"
        f"41 40 0:51 / {tmp_path}/scratch rw - tmpfs tmpfs rw\n"
    )
    assert shared_file_system(tmp_path / "a" / "b", mounts) == "nfs4"
    assert shared_file_system(tmp_path / "scratch" / "b", mounts) is None
    assert shared_file_system(Path("/usr"), mounts) is None
    monkeypatch.setattr("collector.store.database.shared_file_system", lambda _: "lustre")
    store = open_store(database_url(None, tmp_path / "home"))
    with store.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    assert "lustre" in store.notices[0]
    store.close()


def test_the_command_line_imports_no_server_libraries_until_it_serves() -> None:
    code = "import sys, collector.cli.main; print(*sorted(n for n in sys.modules if n in {'litestar', 'sqlalchemy'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_stop_during_a_batch_stores_all_of_it_or_nothing(tmp_path: Path) -> None:
    cases = [f"psij/bulk:n={number}@slurm" for number in range(2000)]
    body = batch(record("graceful", case) for case in cases)
    served = Collector(tmp_path)
    answers: list[int] = []

    def push() -> None:
        with suppress(requests.ConnectionError):
            answers.append(served.post("/api/v1/records", body).status_code)

    pusher = threading.Thread(target=push)
    pusher.start()
    assert wait_until(lambda: established(served.process.pid))
    assert served.stop() == 0
    pusher.join(60)
    served.start()
    stored = served.get("/api/v1/runs/graceful")
    assert (stored.json()["records"] if stored.status_code == 200 else 0) == (2000 if answers == [200] else 0)
    assert served.stop() == 0


def established(process: int) -> bool:
    """Return whether a client is connected to the process."""
    sockets = [str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()]
    mine = {name[8:-1] for name in sockets if name.startswith("socket:[")}
    lines = Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[3] == "01" and line.split()[9] in mine for line in lines)
