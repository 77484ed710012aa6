"""A token permits its scope, for its site, until it ends; the stored hash cannot be used as a token."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.auth.tokens import check_token, load_key, new_token, rotate_token
from collector.clock import now_ms
from collector.errors import Problem, StoreError, TokenError
from collector.store.database import Store, database_url, open_store
from tests.collector.process import TOKEN, Collector, tool
from tests.collector.samples import CASES, closing, manifest, record


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A private collector with a run of each of two sites."""
    served = Collector(tmp_path_factory.mktemp("private"), "--private")
    for site in ("ornl", "anl"):
        served.open(manifest(f"run-{site}", site=site))
        served.add(record(f"run-{site}", CASES[0], site=site))
    yield served
    assert served.stop() == 0


def create_token(served: Collector, *arguments: str) -> str:
    done = tool(served.home, "token", "new", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_token_uploads_for_its_own_site_only(private: Collector) -> None:
    token = create_token(private, "ornl")
    assert private.open(manifest("own-1"), token=token).status_code == 201
    other = private.open(manifest("own-2", site="anl"), token=token)
    assert (other.status_code, other.json()["field"]) == (403, "site")
    mixed = private.add(record("own-1", CASES[0]), record("own-2", CASES[0], site="anl"), token=token).json()
    assert [item["record_id"] for item in mixed["acknowledged"]] == [record("own-1", CASES[0]).record_id]
    assert mixed["rejected"][0]["problem"]["field"] == "context.site"
    foreign, unknown = (private.close(name, closing(1), token=token) for name in ("run-anl", "run-xyz"))
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.text.replace("run-anl", "run-xyz") == unknown.text
    assert private.close("own-1", closing(1), token=token).status_code == 200


def test_a_token_permits_its_scope_only(private: Collector) -> None:
    upload, read, admin = (create_token(private, "ornl", "--scope", scope) for scope in ("upload", "read", "admin"))
    assert private.open(manifest("scope-1"), token=read).status_code == 403
    assert private.get("/api/v1/runs", token=upload).status_code == 403
    assert private.open(manifest("scope-1"), token=admin).status_code == 201
    assert private.get("/api/v1/runs", token=admin).status_code == 200


def test_a_reader_sees_the_site_of_the_token_only(private: Collector) -> None:
    token = create_token(private, "anl", "--scope", "read")
    assert {run["site"] for run in private.get("/api/v1/runs", token=token).json()["runs"]} == {"anl"}
    assert private.get("/api/v1/runs?site=ornl", token=token).status_code == 403
    hidden = record("run-ornl", CASES[0]).record_id
    for path in ("/runs/run-ornl", "/api/v1/runs/run-ornl", f"/records/{hidden}", f"/api/v1/records/{hidden}"):
        assert private.get(path, token=token).status_code == 404
    page = private.get(f"/?token={token}").text
    assert "anl" in page
    assert "ornl" not in page


def test_a_page_of_runs_does_not_reveal_whether_a_run_of_another_site_exists(private: Collector) -> None:
    token = create_token(private, "anl", "--scope", "read")
    foreign, unknown = (private.get(f"/api/v1/runs?before={name}", token=token) for name in ("run-ornl", "run-xyz"))
    assert foreign.json() == unknown.json() == {"runs": [], "before": None}


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/runs/{}",
        "/api/v1/runs/{}/records",
        "/api/v1/runs/{}?site=ornl&system=frontier",
        "/runs/{}",
        "/runs/ornl/frontier/{}",
        "/runs/ornl/frontier/{}.json",
        "/compare/run-anl/{}",
        "/compare/{}/run-anl?system=ornl/frontier",
        "/api/v1/runs?before=ornl/frontier/{}",
    ],
)
def test_a_foreign_run_and_an_unknown_one_get_the_same_answer(private: Collector, path: str) -> None:
    token = create_token(private, "anl", "--scope", "read")
    foreign, unknown = (private.get(path.format(name), token=token) for name in ("run-ornl", "run-xyzw"))
    assert foreign.status_code == unknown.status_code
    # A page states when it was drawn, and the two may be drawn in different seconds.
    texts = [re.sub(r"<time.*?</time>", "", answer.text) for answer in (foreign, unknown)]
    assert texts[0].replace("run-ornl", "run-xyzw") == texts[1]


def test_the_id_of_a_foreign_run_is_free_for_every_other_site(private: Collector) -> None:
    """A site must neither find out which ids others use nor be able to take them away."""
    token = create_token(private, "llnl")
    for name in ("run-ornl", "run-of-nobody"):
        opened = private.open(manifest(name, site="llnl"), token=token)
        assert (opened.status_code, opened.json()["stored"]) == (201, True)
        added = private.add(record(name, CASES[0], site="llnl"), token=token).json()
        assert (len(added["acknowledged"]), added["rejected"]) == (1, [])
        assert private.close(name, closing(1, missing=4), token=token).status_code == 200
    assert private.get("/api/v1/runs/run-ornl?site=ornl", TOKEN).json()["state"] != "complete"


def test_nothing_is_read_or_written_without_a_valid_token(private: Collector) -> None:
    for token in (None, "wrong", "exw_00000000_" + "A" * 43, "exw__", TOKEN + "x", "exw_" + "é" * 9):
        header = token.encode("utf-8").decode("latin-1") if token else None
        for path in ("/", "/runs/run-ornl", "/api/v1/runs"):
            answer = private.get(path, token=header)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "ornl" not in answer.text
        assert private.open(manifest("never"), token=header).status_code == 401
    assert private.get("/api/v1/runs/never", token=TOKEN).status_code == 404


def test_a_token_in_the_address_reads_but_never_writes(private: Collector) -> None:
    assert private.get(f"/?token={TOKEN}").status_code == 200
    assert private.post(f"/api/v1/runs?token={TOKEN}", b"{}", token=None).status_code == 401


def test_a_revoked_token_is_refused_at_once(private: Collector) -> None:
    token = create_token(private, "ornl")
    assert private.open(manifest("revoked-1"), token=token).status_code == 201
    listed = json.loads(tool(private.home, "token", "list", "--json").stdout)
    identity = token.split("_")[1]
    (row,) = [row for row in listed if row["id"] == identity]
    assert (row["site"], row["scope"], row["state"]) == ("ornl", "upload", "valid")
    assert row["last_used"] is not None
    assert tool(private.home, "token", "revoke", identity).returncode == 0
    assert private.open(manifest("revoked-2"), token=token).status_code == 401
    assert tool(private.home, "token", "revoke", "00000000").returncode == 2


def test_an_expired_token_is_refused(tmp_path: Path) -> None:
    store, key, now = open_store(database_url(None, tmp_path)), load_key(tmp_path / "token.key"), now_ms()
    with store.writing() as connection:
        token = new_token(connection, key, "ornl", "upload", now, expires=now + 1000)
        assert check_token(connection, key, token, now + 999)[0].site == "ornl"
        with pytest.raises(Problem) as refused:
            check_token(connection, key, token, now + 1000)
        assert refused.value.status == 401
        with pytest.raises(Problem):
            check_token(connection, bytes(32), token, now)
    store.close()


def test_the_token_itself_is_stored_nowhere(private: Collector) -> None:
    token = create_token(private, "ornl")
    assert len(token.split("_", 2)[2]) >= 43
    secret = token.split("_", 2)[2].encode()
    for file in (private.home / "collector").iterdir():
        assert secret not in file.read_bytes(), file
    assert secret.decode() not in tool(private.home, "token", "list", "--json").stdout


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path / "token.key")
    (tmp_path / "token.key").chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        load_key(tmp_path / "token.key")


def test_the_token_of_a_process_is_not_accepted_by_another_process(tmp_path: Path) -> None:
    served = Collector(tmp_path, token=None)
    assert served.open(manifest("plain")).status_code == 401
    assert served.get("/api/v1/runs").status_code == 200
    token = create_token(served, "*")
    assert served.open(manifest("plain"), token=token).status_code == 201
    assert served.stop() == 0


def test_a_loopback_server_refuses_a_foreign_host_name(collector: Collector) -> None:
    answer = collector.session.get(collector.url + "/", headers={"Host": "evil.example:80"}, timeout=10)
    assert (answer.status_code, "What works where" in answer.text) == (400, False)
    for name in ("localhost:1234", "127.0.0.1", "[::1]:8350"):
        assert collector.session.get(collector.url + "/", headers={"Host": name}, timeout=10).status_code == 200


def test_a_wrong_site_name_creates_no_token(tmp_path: Path) -> None:
    refused = tool(tmp_path, "token", "new", "or nl")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_every_command_uses_the_database_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named" / "results.db"
    named.parent.mkdir()
    monkeypatch.setenv("EXAWORKS_COLLECTOR_DATABASE", str(named))
    assert tool(tmp_path, "token", "new", "ornl").returncode == 0
    monkeypatch.delenv("EXAWORKS_COLLECTOR_DATABASE")
    (token,) = json.loads(tool(tmp_path, "token", "list", "--json", "--database", str(named)).stdout)
    assert token["site"] == "ornl"
    assert json.loads(tool(tmp_path, "token", "list", "--json").stdout) == []


def test_a_rotated_token_and_its_successor_are_both_valid_until_the_overlap_ends(store: Store, tmp_path: Path) -> None:
    key, now, day = load_key(tmp_path / "token.key"), now_ms(), 86_400_000
    with store.writing() as connection:
        old = new_token(connection, key, "ornl", "upload", now, expires=now + 30 * day)
        new = rotate_token(connection, key, old.split("_")[1], now + 10 * day, overlap=day)
        for token in (old, new):
            assert check_token(connection, key, token, now + 11 * day - 1)[0].site == "ornl"
        with pytest.raises(Problem):
            check_token(connection, key, old, now + 11 * day)
        assert check_token(connection, key, new, now + 40 * day - 1)[0].grants == {"upload"}
        with pytest.raises(Problem):
            check_token(connection, key, new, now + 40 * day)
        with pytest.raises(TokenError, match=f"its successor is {new.split('_')[1]}"):
            rotate_token(connection, key, old.split("_")[1], now + 10 * day, overlap=day)
        with pytest.raises(TokenError, match="has ended"):
            rotate_token(connection, key, new.split("_")[1], now + 50 * day, overlap=day)


def test_rotating_never_lengthens_the_life_of_the_old_token(store: Store, tmp_path: Path) -> None:
    key, now = load_key(tmp_path / "token.key"), now_ms()
    with store.writing() as connection:
        old = new_token(connection, key, "ornl", "upload", now, expires=now + 1000)
        rotate_token(connection, key, old.split("_")[1], now, overlap=10_000)
        with pytest.raises(Problem):
            check_token(connection, key, old, now + 1000)


def test_a_token_is_rotated_on_the_command_line(private: Collector) -> None:
    old = create_token(private, "ornl")
    rotated = tool(private.home, "token", "rotate", old.split("_")[1], "--overlap-hours", "0")
    assert rotated.returncode == 0
    assert private.open(manifest("rotated-1"), token=rotated.stdout.strip()).status_code == 201
    assert private.open(manifest("rotated-2"), token=old).status_code == 401
    (row,) = [
        row
        for row in json.loads(tool(private.home, "token", "list", "--json").stdout)
        if row["id"] == old.split("_")[1]
    ]
    assert (row["state"], row["successor"]) == ("expired", rotated.stdout.split("_")[1])


def test_a_hidden_site_is_visible_only_with_a_token_of_that_site(tmp_path: Path) -> None:
    served = Collector(tmp_path)
    for site in ("ornl", "anl"):
        served.open(manifest(f"run-{site}", site=site))
        served.add(record(f"run-{site}", CASES[0], site=site))
    assert tool(tmp_path, "site", "hide", "ornl").returncode == 0
    shown = {row["site"]: row["hidden_since"] for row in json.loads(tool(tmp_path, "site", "list", "--json").stdout)}
    assert shown["anl"] is None
    assert shown["ornl"] is not None
    hidden = record("run-ornl", CASES[0]).record_id
    paths = ["/runs/run-ornl", "/api/v1/runs/run-ornl", f"/records/{hidden}", f"/api/v1/records/{hidden}"]
    assert [served.get(path).status_code for path in paths] == [404] * 4
    assert {run["site"] for run in served.get("/api/v1/runs").json()["runs"]} == {"anl"}
    assert served.get("/api/v1/runs?site=ornl").json()["runs"] == []
    assert "ornl" not in served.get("/").text
    read = create_token(served, "ornl", "--scope", "read")
    assert [served.get(path, token=read).status_code for path in paths] == [200] * 4
    other = create_token(served, "anl", "--scope", "read")
    assert [served.get(path, token=other).status_code for path in paths] == [404] * 4
    assert tool(tmp_path, "site", "show", "ornl").returncode == 0
    assert served.get("/runs/run-ornl").status_code == 200
    assert served.stop() == 0
