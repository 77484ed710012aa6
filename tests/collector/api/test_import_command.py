"""``exaworks results import`` sends a file of another tool to a real collector."""

from __future__ import annotations

import json
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


def test_a_file_of_another_format_is_refused_with_one_message(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "notes.xml").write_text("<html/>")
    runner = CliRunner(env={"EXAWORKS_COLLECTOR_TOKEN": TOKEN})
    arguments = ["import", str(tmp_path / "notes.xml"), "--system", "s", "--site", "ornl", "--to", collector.url]
    refused = runner.invoke(results, arguments)
    assert refused.exit_code == 1
    assert "<html>" in refused.output
