"""The server under an operator's eyes: readiness, full disks, keys, counters of several processes, and HEAD."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import text

from collector.errors import Problem
from collector.store import condition
from collector.store.condition import check_writable
from collector.store.database import Store, database_url, open_store
from tests.collector.process import ROOT, TOKEN, Collector, environment, tool
from tests.collector.samples import CASES, closing, manifest, record
from tests.needs import need

if TYPE_CHECKING:
    from tests.collector.postgres import Cluster

FULL_DISK = 'mount -t tmpfs -o size=48m tmpfs "$1" && folder=$1 && shift && exec "$@" "$folder"'


@pytest.mark.needs("namespaces")
def test_a_full_disk_is_reported_by_name_and_nothing_is_damaged(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("full_disk.py"))
    inside = ["sh", "-c", FULL_DISK, "sh", str(tmp_path), sys.executable, script]
    done = subprocess.run(
        [need("namespaces"), "--mount", *inside], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    happened = json.loads(done.stdout)
    assert happened["ready"] == 200
    for request in ("upload", "not ready"):
        status, kind, detail = happened[request]
        assert (status, kind) == (503, "urn:exaworks:problem:database-disk-full"), request
        assert "the disk of the database is" in detail
    assert (happened["alive"], happened["page"]) == (200, 200)
    for command in ("prune", "export", "token"):
        code, message = happened[command]
        assert code == 2, command
        assert re.search("disk of the database is full|No space left", message), message
        assert "Traceback" not in message
    assert happened["prune with room"][0] == 0
    assert "bodies of 8 records" in happened["prune with room"][1]
    assert "bytes shorter" in happened["prune with room"][1]
    assert happened["verify"][0] == 0
    assert happened["upload with room"] == 200


def test_a_database_that_can_be_written_is_ready(store: Store) -> None:
    check_writable(store)


def _schema_of_another_version(store: Store, _: pytest.MonkeyPatch) -> None:
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def _no_space(store: Store, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(condition, "MIN_FREE_BYTES", 2**62)


def _read_only(store: Store, _: pytest.MonkeyPatch) -> None:
    with store.outside_transaction() as connection:
        connection.execute("PRAGMA query_only = ON")


def _removed(store: Store, _: pytest.MonkeyPatch) -> None:
    assert store.file is not None
    store.file.unlink()


@pytest.mark.parametrize(
    ("harm", "kind", "words"),
    [
        (_schema_of_another_version, "database-schema", "schema 0001"),
        (_no_space, "database-disk-full", "almost full"),
        (_read_only, "database-read-only", "read-only"),
        (_removed, "database-removed", "was removed"),
    ],
)
def test_a_database_that_cannot_be_written_is_not_ready_and_the_reason_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Store, pytest.MonkeyPatch], None],
    kind: str,
    words: str,
) -> None:
    store = open_store(database_url(None, tmp_path))
    harm(store, monkeypatch)
    with pytest.raises(Problem) as refused:
        check_writable(store)
    assert (refused.value.status, refused.value.kind) == (503, kind)
    assert words in refused.value.detail
    store.close()


@pytest.mark.needs("postgres")
def test_a_read_only_postgres_is_not_ready_and_uploads_say_why(postgres: Cluster, tmp_path: Path) -> None:
    url = postgres.ready()
    name = url.rpartition("?")[0].rpartition("/")[2]
    served = Collector(tmp_path, "--database", url)
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
    for answer in (served.get("/readyz"), served.add(record("run", CASES[0]))):
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:exaworks:problem:database-read-only"
        assert "Nothing was stored: the database is read-only" in answer.json()["detail"]
    assert served.stop() == 0
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    postgres.clear(url)


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/api/v1/runs", "/static/style.css", "/no"])
def test_head_gets_the_header_of_get_without_the_body(collector: Collector, path: str) -> None:
    parts = urlsplit(collector.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    answers = []
    for method in ("GET", "HEAD", "GET"):  # on one connection: a body after HEAD would be read as the next response
        connection.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        answers.append((answer.status, answer.headers["content-type"], answer.read()))
    connection.close()
    assert answers[0][:2] == answers[1][:2] == answers[2][:2]
    assert answers[0][0] == (404 if path == "/no" else 200)
    assert answers[1][2] == b""
    assert answers[2][2]


def test_another_token_key_is_an_error_at_the_start(tmp_path: Path) -> None:
    served = Collector(tmp_path)
    token = tool(tmp_path, "token", "new", "ornl").stdout.strip()
    assert served.stop() == 0
    (key,) = tmp_path.rglob("token.key")
    right = key.read_bytes()
    key.write_bytes(b"x" * 32)
    for command in (("serve", "--port", "0"), ("token", "new", "ornl"), ("token", "rotate", token.split("_")[1])):
        refused = tool(tmp_path, *command)
        assert refused.returncode == 2, command
        assert f"{key} is not the key of this database" in refused.stderr
        assert "replace-key" in refused.stderr
    key.write_bytes(right)
    served.start()
    assert served.open(manifest("run"), token=token).status_code == 201
    assert served.stop() == 0


def test_a_lost_token_key_is_replaced_and_all_tokens_end(tmp_path: Path) -> None:
    old = tool(tmp_path, "token", "new", "ornl").stdout.strip()
    (key,) = tmp_path.rglob("token.key")
    key.unlink()
    assert tool(tmp_path, "token", "new", "ornl").returncode == 2
    assert "1 tokens revoked" in tool(tmp_path, "token", "replace-key", "--yes").stdout
    new = tool(tmp_path, "token", "new", "ornl").stdout.strip()
    served = Collector(tmp_path)
    assert served.open(manifest("run"), token=old).status_code == 401
    assert served.open(manifest("run"), token=new).status_code == 201
    assert served.stop() == 0


def test_a_key_of_a_database_without_tokens_may_change(tmp_path: Path) -> None:
    assert Collector(tmp_path).stop() == 0
    (key,) = tmp_path.rglob("token.key")
    key.write_bytes(b"y" * 32)
    assert Collector(tmp_path).stop() == 0


def values(served: Collector) -> dict[str, float]:
    """Return the numbers that ``/metrics`` reports, by name and labels."""
    lines = served.get("/metrics", TOKEN).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


@pytest.mark.needs("postgres")
def test_counters_are_sums_over_all_processes_and_never_decrease(postgres: Cluster, tmp_path: Path) -> None:
    url = postgres.ready()
    homes = [tmp_path / name for name in ("a", "b")]
    (tmp_path / "a" / "collector").mkdir(parents=True)
    (tmp_path / "b" / "collector").mkdir(parents=True)
    served = [Collector(homes[0], "--database", url)]
    (tmp_path / "b" / "collector" / "token.key").write_bytes((tmp_path / "a" / "collector" / "token.key").read_bytes())
    (tmp_path / "b" / "collector" / "token.key").chmod(0o600)
    served.append(Collector(homes[1], "--database", url))
    name = "exaworks_collector_records_total"
    reported = []
    for number in range(3):
        for place, each in enumerate(served):
            sent = [record(f"run-{place}-{number}", case) for case in CASES]
            assert len(each.add(*sent).json()["acknowledged"]) == len(CASES)
            reported.append(values(each)[name])
    assert reported == sorted(reported)
    for each in served:
        values(each)  # each process has stored what it counted
    assert {values(each)[name] for each in served} == {6.0 * len(CASES)}
    processes = [key for key in values(served[0]) if key.startswith("exaworks_collector_memory_bytes{process=")]
    assert len(processes) == 2
    assert served[0].stop() == 0
    assert values(served[1])[name] == 6.0 * len(CASES)
    served[0].start()
    assert values(served[0])[name] == 6.0 * len(CASES)
    assert [each.stop() for each in served] == [0, 0]
    postgres.clear(url)


def test_every_default_of_the_retention_is_stated() -> None:
    from collector.store.retention import BODIES_DAYS, LOG_DAYS, TAILS_DAYS

    page = (ROOT / "docs" / "collector.md").read_text()
    stated = tool(Path("/nowhere"), "prune", "--help").stdout
    for days in (TAILS_DAYS, BODIES_DAYS, LOG_DAYS):
        assert str(days) in stated
        assert f"{days} days" in page


def test_a_closed_run_is_counted_in_the_log_and_by_its_writer(tmp_path: Path) -> None:
    served = Collector(tmp_path)
    token = tool(tmp_path, "token", "new", "ornl").stdout.strip()
    served.open(manifest("run"), token=token)
    served.add(record("run", CASES[0]), record("run", CASES[1]), token=token)
    served.close("run", closing(2, missing=3), token=token)
    assert served.stop() == 0
    store = open_store(database_url(None, tmp_path / "collector"))
    name = f"token:{token.split('_')[1]}"
    with store.reading() as connection:
        for table in ("runs", "records", "closings"):
            query = f"SELECT DISTINCT w.name FROM {table} t LEFT JOIN writers w ON w.id = t.writer"
            assert connection.execute(text(query)).scalars().all() == [name], table
    store.close()


def lines(home: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return the entries that ``exaworks collector log`` prints."""
    return [json.loads(line) for line in tool(home, "log", *arguments).stdout.splitlines()]


def test_the_log_names_who_wrote_and_changed_what_and_what_was_refused(tmp_path: Path) -> None:
    served = Collector(tmp_path)
    token = tool(tmp_path, "token", "new", "ornl").stdout.strip()
    admin = tool(tmp_path, "token", "new", "*", "--scope", "admin").stdout.strip()
    name = f"token:{token.split('_')[1]}"
    served.open(manifest("run"), token=token)
    served.open(manifest("run"), token=token)  # stored before: nothing is written
    served.add(record("run", CASES[0]), record("run", CASES[1]), token=token)
    served.close("run", closing(2, missing=3), token=token)
    served.open(manifest("foreign", site="llnl"), token=token)
    for _ in range(3):
        served.open(manifest("run"), token="exw_0badc0de_" + "x" * 40)
    served.get("/api/v1/runs", "some other secret")
    waiver = {"site": "ornl", "cases": "psij/*", "reason": "known", "expires": "2099-01-31"}
    number = served.post("/api/v1/waivers", json.dumps(waiver).encode(), token=admin).json()["id"]
    served.post(f"/api/v1/waivers/{number}/end", b"", token=admin)
    tool(tmp_path, "token", "revoke", token.split("_")[1])
    tool(tmp_path, "site", "hide", "llnl")
    assert served.stop() == 0
    entries = lines(tmp_path)
    written = [(each["action"], each.get("writer"), each.get("subject"), each["count"]) for each in entries]
    assert ("records.add", name, "run", 2) in written
    assert written.count(("run.open", name, "run", 1)) == 1
    assert ("run.close", name, "run", 1) in written
    assert {"token.new", "token.revoke", "site.hide", "waiver.add", "waiver.end"} <= {each[0] for each in written}
    assert all(each["writer"].startswith("user:") for each in entries if each["action"] == "token.new")
    refused = {each.get("writer"): each for each in entries if each["action"] == "refused"}
    assert refused[name]["status"] == 403
    assert refused["invalid token:0badc0de"]["count"] == 3
    assert refused["invalid token:0badc0de"]["address"] == "127.0.0.1"
    everything = json.dumps(entries)
    for secret in (token, admin, "some other secret", "x" * 40):
        assert secret not in everything
    assert [each["action"] for each in lines(tmp_path, "--action", "token", "--newest", "1")] == ["token.revoke"]
    assert {each["writer"] for each in lines(tmp_path, "--writer", name)} == {name}
    assert lines(tmp_path, "--since", "1d") == entries
    assert all(each["at"].endswith("Z") for each in entries)


def test_refused_requests_cannot_fill_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from collector.store import log
    from collector.web.refusals import MAX_KINDS, Refusals

    noted = Refusals()
    for number in range(10 * MAX_KINDS):
        noted.note(f"GET /{number}", "192.0.2.1", None, Problem(401, "token-refused", "no"))
    entries = noted.take()
    assert len(entries) == MAX_KINDS + 1
    assert sum(entry.count for entry in entries) == 10 * MAX_KINDS
    assert noted.take() == []
    monkeypatch.setattr(log, "MAX_REFUSED", 150)
    with store.writing() as connection:
        log.add_entry(connection, 1, log.Entry("token.new"))
        for at in range(3):
            log.add_refusals(connection, at, entries)
        kept = list(log.list_entries(connection))
    assert [each["action"] for each in kept].count("refused") == 150
    assert [each["action"] for each in kept].count("token.new") == 1
