"""The dashboard as a folder of files: complete, readable without a server, and without hidden sites."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from collector.auth.tokens import hide_site
from collector.auth.visibility import EVERYTHING, Visibility
from collector.clock import now_ms
from collector.errors import ExportError
from collector.server.export import MARK, export
from collector.store.database import Store
from dashboard_client.schema import Outcome
from tests.collector.pages.test_dashboard import put
from tests.collector.samples import manifest, record

CASES = ["psij/a@slurm", "psij/b@slurm"]
NAME = "2026.11/../../odd name?#%"


def fill(store: Store, site: str = "ornl") -> None:
    for day in (18, 19, 20):
        run_id = f"{site}:{day}"
        put(
            store,
            manifest(run_id, CASES, site=site, release=NAME, started=f"2026-11-{day}T08:00:00Z"),
            record(run_id, CASES[0], site=site, at=f"2026-11-{day}T08:01:"),
            record(run_id, CASES[1], Outcome.FAIL, site=site, at=f"2026-11-{day}T08:01:"),
        )


def write(store: Store, folder: Path, visibility: Visibility = EVERYTHING, runs: int = 2) -> set[str]:
    with store.reading() as connection:
        export(connection, visibility, folder, now_ms(), runs)
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {MARK}


def test_every_link_of_an_export_leads_to_one_of_its_files(store: Store, tmp_path: Path) -> None:
    fill(store)
    files = write(store, tmp_path / "out")
    assert {"index.html", "triage.html", "sites/ornl.html", "systems/ornl/frontier.html", "static/style.css"} <= files
    assert "runs/ornl/frontier/ornl%3A20.html" in files
    assert "runs/ornl/frontier/ornl%3A18.html" not in files  # the export has two runs of each system
    assert "badge/ornl/frontier/psij.svg" in files
    assert "cells/1.html" not in files  # it passes
    assert len([file for file in files if file.startswith("records/") and file.endswith(".html")]) == 2
    links = 0
    for name in files:
        if not name.endswith(".html"):
            continue
        page = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "default-src 'none'" in page
        for address in re.findall(r'(?:href|src)="([^"]*)"', page):
            path, _, mark = address.partition("#")
            if not path:
                continue
            links += 1
            assert path.startswith(("./", "../")), address
            target = (tmp_path / "out" / name).parent / unquote(path)
            assert target.resolve().is_relative_to((tmp_path / "out").resolve())
            assert target.is_file(), f"{name}: {address}"
            if mark:
                assert re.search(f"id=[\"']?{re.escape(mark)}", target.read_text(encoding="utf-8")), address
    assert links > 50
    assert json.loads((tmp_path / "out" / "index.json").read_text())["tiles"][0]["outcome"] == "fail"


def test_an_export_does_not_contain_hidden_sites(store: Store, tmp_path: Path) -> None:
    fill(store)
    fill(store, "secret")
    with store.writing() as connection:
        hide_site(connection, "secret", now_ms())
    files = write(store, tmp_path / "out", Visibility())
    assert files
    assert not [name for name in files if "secret" in name]
    assert not [name for name in files if "secret" in (tmp_path / "out" / name).read_text(encoding="utf-8")]


def test_a_second_export_replaces_the_first_and_nothing_else(store: Store, tmp_path: Path) -> None:
    fill(store)
    before = write(store, tmp_path / "out", runs=3)
    (tmp_path / "out" / "CNAME").write_text("kept")
    after = write(store, tmp_path / "out", runs=1)
    assert "runs/ornl/frontier/ornl%3A18.html" in before - after
    assert after - before == {"CNAME"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match="no export wrote"):
        write(store, tmp_path / "other")
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_the_export_of_an_empty_collector_states_that_no_system_has_reported(store: Store, tmp_path: Path) -> None:
    files = write(store, tmp_path / "out")
    assert "index.html" in files
    assert "No system has reported yet" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
