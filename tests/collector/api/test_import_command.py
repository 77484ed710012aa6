"""``exaworks results import`` sends a file of another tool to a real collector."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from dashboard_client.cli import results
from tests.collector.importers.test_imports import GOLDEN
from tests.collector.process import TOKEN, Collector

FILES = [("pytest.xml", "junit", 3), ("e4s_testsuite.json", "e4s", 4)]


@pytest.mark.parametrize(("name", "form", "records"), FILES)
def test_a_file_that_is_imported_twice_is_stored_once(collector: Collector, name: str, form: str, records: int) -> None:
    runner = CliRunner(env={"EXAWORKS_COLLECTOR_TOKEN": TOKEN, "EXAWORKS_COLLECTOR_URL": collector.url})
    arguments = ["import", str(GOLDEN / name), "--system", f"by-{form}", "--site", "ornl", "--json"]
    first, again = (runner.invoke(results, arguments) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (0, 0), first.output
    summary = json.loads(first.stdout)
    assert (summary["stored"], summary["records"]) == (True, records)
    assert json.loads(again.stdout) == summary | {"stored": False}
    shown = collector.get(f"/api/v1/runs/{summary['run_id']}").json()
    assert (shown["system"], shown["records"]) == (f"by-{form}", records)


def invoke(collector: Collector, *arguments: str) -> str:
    runner = CliRunner(env={"EXAWORKS_COLLECTOR_TOKEN": TOKEN, "EXAWORKS_COLLECTOR_URL": collector.url})
    done = runner.invoke(results, ["import", *arguments, "--site", "ornl"])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_file_without_a_time_is_as_old_as_its_last_modification(collector: Collector, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    file.write_text('<testsuite name="S" tests="1"><testcase name="t"/></testsuite>')
    os.utime(file, (1705287600, 1705287600))
    printed = invoke(collector, str(file), "--system", "by-age", "--component", "halo", "--stale-after", "3d")
    assert "started 2024-01-15T03:00:00.000Z, stale after 72:00:00" in printed
    (cell,) = collector.get("/api/v1/cells?system=by-age").json()["cells"]
    assert (cell["case_id"], cell["states"]) == ("halo/S.t@local", ["stale"])


def test_a_time_without_a_zone_counts_in_the_zone_of_this_machine_or_the_stated_one(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/Denver")
    time.tzset()
    try:
        arguments = [str(GOLDEN / "ctest.xml"), "--json"]
        local = json.loads(invoke(collector, *arguments, "--system", "by-zone"))
        stated = json.loads(invoke(collector, *arguments, "--system", "by-zone-2", "--timezone", "-03:00"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (local["dialect"], local["started"]) == ("CTest", "2026-11-29T10:00:48.000Z")
    assert stated["started"] == "2026-11-29T06:00:48.000Z"
    assert local["counts"] == {"pass": 2, "fail": 4, "skip": 3, "error": 3}


def test_a_file_of_another_format_is_refused_with_one_message(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "notes.xml").write_text("<html/>")
    runner = CliRunner(env={"EXAWORKS_COLLECTOR_TOKEN": TOKEN})
    arguments = ["import", str(tmp_path / "notes.xml"), "--system", "s", "--site", "ornl", "--to", collector.url]
    refused = runner.invoke(results, arguments)
    assert refused.exit_code == 1
    assert "<html>" in refused.output
