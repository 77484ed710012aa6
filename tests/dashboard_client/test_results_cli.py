from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from dashboard_client.cli import results
from dashboard_client.runs import OUTBOX, RunFolder
from dashboard_client.schema import Outcome
from tests.dashboard_client.loopback import TOKEN, FakeCollector, serving
from tests.dashboard_client.samples import CASES, RUN_ID, environ, finished_run, manifest, record

Invoke = Callable[..., Result]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "home" / "runs"


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    for name in ("EXAWORKS_COLLECTOR_TOKEN", "EXAWORKS_COLLECTOR_URL"):
        monkeypatch.delenv(name, raising=False)
    places = SimpleNamespace(home=tmp_path / "home", runs=tmp_path / "home" / "runs")

    def call(*arguments: object, **env: str) -> Result:
        return CliRunner().invoke(results, [str(each) for each in arguments], obj=places, env=env)

    return call


def test_list_shows_every_run_also_a_damaged_one(invoke: Invoke, runs: Path) -> None:
    assert "No runs" in invoke("list").output
    finished_run(runs, {CASES[0]: Outcome.PASS, CASES[1]: Outcome.FAIL}, exit_code=1)
    damaged = RunFolder.create(runs, manifest(run_id="20261123T000000Z-w-bbbbbb"))
    (damaged.path / "manifest.json").write_text("{")
    result = invoke("list")
    assert result.exit_code == 0
    assert "1 pass, 1 fail" in result.output
    assert "damaged: " in result.output
    rows = json.loads(invoke("list", "--json").output)
    assert [(row["run"], row.get("exit_code"), bool(row["problem"])) for row in rows] == [
        (RUN_ID, 1, False),
        ("20261123T000000Z-w-bbbbbb", None, True),
    ]
    assert rows[0]["counts"]["fail"] == 1


def test_show_prints_the_cause_of_every_case_that_did_not_pass(invoke: Invoke, runs: Path) -> None:
    run = RunFolder.create(runs, manifest())
    run.append(record(CASES[0], Outcome.FAIL))
    output = invoke("show").output
    assert "open: still running, or ended without being closed" in output
    assert "3 planned: 1 fail, 2 missing" in output
    assert "run: it did not say hello" in output
    assert output.count("no record") == 2
    tree = json.loads(invoke("show", "2026", "--json").output)
    assert tree["manifest"]["run_id"] == RUN_ID
    assert tree["missing"] == list(CASES[1:])
    assert tree["records"][0]["verdict"]["cause"]["class"] == "component"


def test_control_characters_in_the_output_of_a_payload_are_not_printed(invoke: Invoke, runs: Path) -> None:
    import msgspec

    run = RunFolder.create(runs, manifest())
    failed = record(CASES[0], Outcome.FAIL)
    assert failed.verdict.cause is not None
    cause = msgspec.structs.replace(failed.verdict.cause, evidence="\x1b[2Jgone\rover")
    verdict = msgspec.structs.replace(failed.verdict, cause=cause)
    run.append(msgspec.structs.replace(failed, verdict=verdict))
    output = invoke("show").output
    assert "gone over" in output
    assert "\x1b" not in output


def test_push_sends_a_run_and_then_only_what_is_new(invoke: Invoke, runs: Path) -> None:
    finished_run(runs)
    with serving(FakeCollector()) as collector:
        first = invoke("push", "--to", collector.url, EXAWORKS_COLLECTOR_TOKEN=TOKEN)
        again = invoke("push", "last", "--json", EXAWORKS_COLLECTOR_TOKEN=TOKEN, EXAWORKS_COLLECTOR_URL=collector.url)
    assert first.exit_code == 0, first.output
    assert (
        f"{RUN_ID}: 3 records sent, 0 sent before, 0 rejected; the run is closed (sequence number 1) at {collector.url}"
        in first.output
    )
    report = json.loads(again.output)
    assert (report["sent"], report["already"], report["exit_code"]) == (0, 3, 0)


@pytest.mark.parametrize("recorded", [0, 1, 3])
def test_push_of_a_run_that_was_not_closed_sends_it_says_so_and_exits_1(
    invoke: Invoke, runs: Path, tmp_path: Path, recorded: int
) -> None:
    run = RunFolder.create(runs, manifest())
    for case in CASES[:recorded]:
        run.append(record(case))
    archive = invoke("export", "last", "--to", tmp_path).output.strip()
    for name in ("last", archive):
        with serving(FakeCollector()) as collector:
            result = invoke("push", name, "--to", collector.url, EXAWORKS_COLLECTOR_TOKEN=TOKEN)
            again = invoke("push", name, "--json", "--to", collector.url, EXAWORKS_COLLECTOR_TOKEN=TOKEN)
        assert collector.stored_times == recorded
        assert (result.exit_code, again.exit_code) == (1, 1)
        assert f"run {RUN_ID} is not closed" in result.stderr
        assert f"exaworks validate --resume {RUN_ID}" in result.stderr
        report = json.loads(again.stdout)
        assert (report["closed"], report["exit_code"]) == (None, 1)


def test_push_of_a_running_run_can_be_allowed_but_a_rejected_record_still_counts(invoke: Invoke, runs: Path) -> None:
    run = RunFolder.create(runs, manifest())
    run.append(record())
    with serving(FakeCollector()) as collector:
        allowed = invoke("push", "--to", collector.url, "--allow-unclosed", EXAWORKS_COLLECTOR_TOKEN=TOKEN)
    assert (allowed.exit_code, "note: run" in allowed.stderr) == (0, True)
    with serving(FakeCollector(reject={record().case_id})) as collector:
        rejected = invoke("push", "--to", collector.url, "--allow-unclosed", EXAWORKS_COLLECTOR_TOKEN=TOKEN)
    assert rejected.exit_code == 1


def test_push_takes_an_archive_and_a_token_from_a_file(invoke: Invoke, runs: Path, tmp_path: Path) -> None:
    finished_run(runs)
    (tmp_path / "token").write_text(TOKEN + "\n")
    archive = invoke("export", "last", "--to", tmp_path).output.strip()
    assert archive == str(tmp_path / f"{RUN_ID}.tar.gz")
    with serving(FakeCollector()) as collector:
        result = invoke("push", archive, "--to", collector.url, "--token-file", tmp_path / "token")
    assert result.exit_code == 0, result.output
    assert collector.stored_times == 3
    assert json.loads(invoke("show", archive, "--json").output)["count"]["recorded"] == 3


def test_push_exits_1_and_prints_the_rejected_records(invoke: Invoke, runs: Path) -> None:
    finished_run(runs)
    with serving(FakeCollector(reject={CASES[0]})) as collector:
        result = invoke("push", "--to", collector.url, EXAWORKS_COLLECTOR_TOKEN=TOKEN)
    assert result.exit_code == 1
    assert f"rejected: {CASES[0]}" in result.output
    assert "rejected by the test" in result.output


def test_push_without_a_token_or_with_an_unknown_run_is_a_usage_error(
    invoke: Invoke, runs: Path, tmp_path: Path
) -> None:
    finished_run(runs)
    assert invoke("push", "--to", "https://status.example.org").exit_code == 2
    assert "--token-file" in invoke("push", "--to", "https://status.example.org").output
    result = invoke("push", "nothing", "--to", "https://status.example.org", EXAWORKS_COLLECTOR_TOKEN=TOKEN)
    assert (result.exit_code, "no such run" in result.output) == (2, True)
    (tmp_path / "token").write_bytes(b"\xff")
    result = invoke("push", "--to", "https://status.example.org", "--token-file", tmp_path / "token")
    assert (result.exit_code, "cannot read the token" in result.output) == (2, True)


def test_push_takes_no_token_as_an_argument(invoke: Invoke) -> None:
    assert "no such option" in invoke("push", "--token", "abc").output.lower()


def test_preview_prints_the_bytes_on_stdout_and_the_file_names_on_stderr(invoke: Invoke, runs: Path) -> None:
    run = finished_run(runs)
    everything = invoke("preview")
    assert (
        everything.stdout_bytes == (run.path / "manifest.json").read_bytes() + (run.path / "records.jsonl").read_bytes()
    )
    assert "==> records.jsonl: " in everything.stderr
    one_file = invoke("preview", "last", "--file", "records.jsonl")
    assert one_file.stdout_bytes == (run.path / "records.jsonl").read_bytes()
    assert one_file.stderr == ""
    assert [each["name"] for each in json.loads(invoke("preview", "--json").output)] == list(OUTBOX[:2])
    refused = invoke("preview", "last", "--file", "private/lock")
    assert (refused.exit_code, "not a file of run last that is pushed or exported" in refused.stderr) == (2, True)


def test_compare_lists_the_changed_cases(invoke: Invoke, runs: Path) -> None:
    finished_run(runs, run_id="20261121T000000Z-w-aaaaaa")
    finished_run(
        runs, {CASES[0]: Outcome.FAIL, CASES[1]: Outcome.PASS}, exit_code=1, run_id="20261122T000000Z-w-aaaaaa"
    )
    output = invoke("compare", "20261121", "last").output
    assert "newly failing (1)\n  control/hello@local  pass -> fail" in output
    assert "removed (1)\n  parsl/hello@local  pass -> not planned" in output
    tree = json.loads(invoke("compare", "20261121", "last", "--json").output)
    assert tree["newly_failing"] == [{"case_id": CASES[0], "a": "pass", "b": "fail"}]


@pytest.mark.parametrize("model", ["record", "manifest", "closing"])
def test_schema_prints_a_closed_json_schema(invoke: Invoke, model: str) -> None:
    tree = json.loads(invoke("schema", model).output)
    name = tree["$ref"].rpartition("/")[2]
    assert name == model.capitalize()
    assert tree["$defs"][name]["additionalProperties"] is False


@pytest.mark.parametrize("command", sorted(results.commands))
def test_every_command_has_help_with_examples(invoke: Invoke, command: str) -> None:
    output = invoke(command, "--help").output
    assert "Examples:\n" in output
    assert f"exaworks results {command}" in output


def test_loading_the_commands_imports_no_heavy_library() -> None:
    heavy = "{'msgspec', 'requests', 'tabulate', 'git'}"
    program = f"import sys, dashboard_client.cli; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], env=environ(), capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
