"""On PostgreSQL: two servers share a database; killing a server or the database loses and duplicates nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from collector.store.database import database_url, open_store
from collector.store.recompute import verify
from dashboard_client.schema import Outcome
from tests.collector.postgres import Cluster
from tests.collector.process import Collector, batch, environment, tool, wait_until
from tests.collector.samples import CASES, closing, manifest, record

pytestmark = pytest.mark.needs("postgres")


@pytest.fixture
def url(postgres: Cluster) -> Iterator[str]:
    database = postgres.ready()
    yield database
    postgres.clear(database)


def problems_of(url: str, tmp_path: Path) -> list[str]:
    store = open_store(database_url(url, tmp_path))
    try:
        with store.exclusive() as connection:
            return verify(connection).problems
    finally:
        store.close()


def test_a_database_without_an_encoding_stores_unicode_text(postgres: Cluster, tmp_path: Path) -> None:
    database = postgres.fresh("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    served = Collector(tmp_path, "--database", database)
    try:
        case = "psij/grüße@slurm"
        assert served.open(manifest("plain", [case])).status_code == 201
        assert served.add(record("plain", case)).json()["rejected"] == []
        assert case in served.get("/runs/plain").text
    finally:
        served.stop()


def test_two_servers_on_one_database_store_the_same_runs_at_the_same_time(url: str, tmp_path: Path) -> None:
    """Both servers get every record of the same two runs, in opposite orders, and both close the runs."""
    servers = [Collector(tmp_path / name, "--database", url) for name in ("a", "b")]
    cases = [f"psij/bulk:n={number}@slurm" for number in range(240)]
    sent = [[record(run, case) for case in cases] for run in ("both-1", "both-2")]
    bodies = [
        batch(sent[run][start : start + 40] + sent[1 - run][start : start + 40])
        for run in (0, 1)
        for start in range(0, 240, 40)
    ]
    answers: list[int] = []

    def push(served: Collector, mine: list[bytes]) -> None:
        answers.append(served.open(manifest("both-1", cases)).status_code)
        for body in mine:
            answer = served.post("/api/v1/records", body)
            answers.append(answer.status_code if answer.status_code != 200 or not answer.json()["rejected"] else 409)
        answers.append(served.open(manifest("both-2", cases)).status_code)
        for run in ("both-2", "both-1"):
            answers.append(served.close(run, closing(240)).status_code)

    pushers = [threading.Thread(target=push, args=pair) for pair in zip(servers, (bodies, bodies[::-1]), strict=True)]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join(120)
    assert sorted(set(answers)) == [200, 201]
    assert answers.count(201) == 2
    for served in servers:
        for run in ("both-1", "both-2"):
            shown = served.get(f"/api/v1/runs/{run}").json()
            assert (shown["records"], shown["counts"], shown["state"]) == (240, {"pass": 240}, "complete")
    assert [served.stop() for served in servers] == [0, 0]
    assert problems_of(url, tmp_path) == []


def test_a_token_created_for_one_server_is_valid_on_another_with_the_same_key(url: str, tmp_path: Path) -> None:
    first = Collector(tmp_path, "--database", url)
    second = Collector(tmp_path, "--database", url, "--token-file", str(tmp_path / "second"), token=None)
    token = tool(tmp_path, "token", "new", "ornl", "--database", url).stdout.strip()
    assert first.open(manifest("shared-1"), token=token).status_code == 201
    assert second.add(record("shared-1", CASES[0], Outcome.PASS), token=token).json()["rejected"] == []
    assert [first.stop(), second.stop()] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["collector", "database"])
def test_acknowledged_records_survive_a_kill_and_sending_all_again_duplicates_nothing(
    tmp_path: Path, victim: str
) -> None:
    cluster = Cluster(safe=True)
    try:
        url = cluster.fresh()
        cases = [f"psij/bulk:n={number}@slurm" for number in range(1000)]
        bodies = [batch(record("killed", case) for case in cases[start : start + 50]) for start in range(0, 1000, 50)]
        served = Collector(tmp_path, "--database", url)
        served.open(manifest("killed", cases))
        acknowledged: list[str] = []
        enough = threading.Event()

        def push() -> None:
            for body in bodies:
                try:
                    answer = served.post("/api/v1/records", body)
                except requests.RequestException:
                    return
                if answer.status_code != 200:
                    assert answer.status_code == 503
                    return
                acknowledged.extend(item["record_id"] for item in answer.json()["acknowledged"])
                if len(acknowledged) >= 150:
                    enough.set()

        pusher = threading.Thread(target=push)
        pusher.start()
        assert enough.wait(60)
        if victim == "collector":
            served.stop(signal.SIGKILL)
            pusher.join(60)
            served.start()
        else:
            cluster.kill()
            pusher.join(60)
            assert served.get("/healthz").status_code == 200
            assert served.get("/readyz").status_code == 503
            cluster.start()
            assert wait_until(lambda: served.get("/readyz").status_code == 200, 30)
        assert 150 <= len(acknowledged) < 1000
        assert served.get("/api/v1/runs/killed").json()["records"] >= len(acknowledged)
        assert all(served.get(f"/api/v1/records/{each}").status_code == 200 for each in acknowledged[::61])
        for body in bodies:
            assert served.post("/api/v1/records", body).json()["rejected"] == []
        served.close("killed", closing(1000))
        shown = served.get("/api/v1/runs/killed").json()
        assert (shown["records"], shown["counts"]) == (1000, {"pass": 1000})
        assert served.stop() == 0
        assert problems_of(url, tmp_path) == []
    finally:
        cluster.remove()


def test_the_postgres_server_of_the_tests_stops_when_the_tests_are_killed() -> None:
    code = "from tests.collector.postgres import Cluster; c = Cluster(); print(c.folder, flush=True); input()"
    tests = subprocess.Popen(
        [sys.executable, "-c", code], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert tests.stdout is not None
    folder = Path(tests.stdout.readline().strip())
    server = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    tests.kill()
    tests.communicate()
    assert wait_until(lambda: not folder.exists() and not Path(f"/proc/{server}").exists(), 30)
