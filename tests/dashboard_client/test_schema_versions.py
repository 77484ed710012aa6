"""Schema 1 and 2 side by side: what version 1 wrote keeps its bytes, and a version that nobody knows is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from dashboard_client.runs import RunFolder
from dashboard_client.schema import Diagnosis, Manifest, Outcome, Record, digest, encode
from dashboard_client.upload import push
from dashboard_client.wire import Policy
from tests.dashboard_client.loopback import TOKEN, FakeCollector, Fault, problem, serving
from tests.dashboard_client.samples import finished_run, full_record, manifest, record

SCHEMA_1 = Path(__file__).parent / "schema_1" / "20261129T061541Z-laptop-9b7107"
"""A run as ``exaworks validate`` of the last version with schema 1 wrote it, with other paths."""


def run_of_schema_1(tmp_path: Path) -> RunFolder:
    """Return a copy of the run; a push writes into its private folder."""
    shutil.copytree(SCHEMA_1, tmp_path / SCHEMA_1.name)
    (tmp_path / SCHEMA_1.name / "private").mkdir()
    return RunFolder.open(SCHEMA_1.name, tmp_path)


def test_a_run_of_schema_1_is_read_and_its_records_keep_their_bytes(tmp_path: Path) -> None:
    run = run_of_schema_1(tmp_path)
    lines = (SCHEMA_1 / "records.jsonl").read_bytes().splitlines()
    assert [encode(each) for each in run.records()] == lines
    assert {each.schema for each in run.records()} == {run.manifest.schema} == {1}
    assert encode(run.manifest) + b"\n" == (SCHEMA_1 / "manifest.json").read_bytes()


def test_a_resumed_run_may_hold_records_of_both_versions(tmp_path: Path) -> None:
    run = run_of_schema_1(tmp_path)
    case_id = run.manifest.planned[1].case_id
    run.append(record(case_id, Outcome.PASS, attempt=2, of=run.manifest))
    assert {each.schema for each in run.records()} == {1, 2}
    assert run.effective()[case_id].schema == 2


def test_what_is_written_has_schema_2_and_only_a_diagnosed_record_is_larger() -> None:
    assert record().schema == manifest().schema == 2
    assert b"diagnosis" not in encode(record())
    assert msgspec.json.decode(encode(full_record()), type=Record) == full_record()


def test_a_record_of_schema_1_with_a_diagnosis_is_refused() -> None:
    tree = msgspec.to_builtins(record()) | {"schema": 1, "diagnosis": {"title": "t", "cause_key": "k"}}
    with pytest.raises(msgspec.ValidationError, match="schema 1 has no `diagnosis`"):
        msgspec.convert(tree, Record)


@pytest.mark.parametrize("version", [0, 3, -1])
@pytest.mark.parametrize("model", [Record, Manifest])
def test_an_unknown_version_is_refused_with_the_versions_that_are_read(model: type, version: int) -> None:
    tree = msgspec.to_builtins(record() if model is Record else manifest()) | {"schema": version}
    with pytest.raises(msgspec.ValidationError, match=f"schema {version} is not supported.*reads schema 1 and 2"):
        msgspec.convert(tree, model)


@pytest.mark.parametrize(
    "detail",
    [
        "schema 2 is not supported; this build reads schema 1.",
        "Object contains unknown field `diagnosis`.",
    ],
)
def test_a_collector_that_reads_only_schema_1_is_to_be_updated_and_the_run_pushed_again(
    tmp_path: Path, detail: str
) -> None:
    run = finished_run(tmp_path)
    refused = [{"index": index, "problem": problem(422, detail=detail)} for index in range(3)]
    with serving(FakeCollector()) as collector:
        body = msgspec.json.encode({"acknowledged": [], "rejected": refused})
        collector.faults = [None, Fault(status=200, body=body)]
        report = push(run, collector.url, TOKEN, policy=Policy(sleep=lambda seconds: None))
    assert report.exit_code == 1
    assert {"Update the collector, then push this run again" in each.reason for each in report.rejected} == {True}


def test_equal_records_have_equal_digests_with_and_without_a_diagnosis() -> None:
    plain = record(outcome=Outcome.FAIL)
    explained = msgspec.structs.replace(plain, diagnosis=Diagnosis(title="t", cause_key="k"))
    assert len({digest(plain), digest(explained), digest(msgspec.structs.replace(explained))}) == 2
