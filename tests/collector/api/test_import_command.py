"""``exaworks results import`` sends a file of another tool to a real collector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.collector.importers.test_imports import GOLDEN

from dashboard_client.cli import results
from tests.collector.process import TOKEN, Collector

FILES = [("pytest.xml", "junit", 3), ("e4s_testsuite.json", "e4s", 4)]


@pytest.mark.parametrize(("name", "form", "records"), FILES)
def test_a_file_is_sent_once_however_often_it_is_imported(
    collector: Collector, name: str, form: str, records: int
) -> None:
    runner = CliRunner(env={"EXAWORKS_COLLECTOR_TOKEN": TOKEN, "EXAWORKS_COLLECTOR_URL": collector.url})
    words = ["import", str(GOLDEN / name), "--system", f"by-{form}", "--site", "ornl", "--json"]
    first, again = (runner.invoke(results, words) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (0, 0), first.output
    told = json.loads(first.stdout)
    assert (told["stored"], told["records"]) == (True, records)
    assert json.loads(again.stdout) == told | {"stored": False}
    shown = collector.get(f"/api/v1/runs/{told['run_id']}").json()
    assert (shown["system"], shown["records"]) == (f"by-{form}", records)


def test_a_file_that_is_none_is_refused_in_one_message(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "notes.xml").write_text("<html/>")
    runner = CliRunner(env={"EXAWORKS_COLLECTOR_TOKEN": TOKEN})
    words = ["import", str(tmp_path / "notes.xml"), "--system", "s", "--site", "ornl", "--to", collector.url]
    refused = runner.invoke(results, words)
    assert refused.exit_code == 1
    assert "<html>" in refused.output
