"""Sites upgrade one by one: the collector takes records of schema 1 and 2 side by side, also in one run."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from dashboard_client.runs import RunFolder
from dashboard_client.schema import Diagnosis, Log, Outcome, digest, encode
from dashboard_client.upload import push
from tests.collector.process import TOKEN, Collector
from tests.collector.samples import CASES, manifest, record
from tests.dashboard_client.test_schema_versions import SCHEMA_1

DIAGNOSIS = Diagnosis(
    title="no MPI launcher",
    cause_key="no-launcher:0123456789ab",
    expected="task DONE",
    got="task FAILED",
    logs=[Log(component="radical.pilot", path="logs/1/agent.log", size=9, lines=["no launch method"])],
)


def test_a_run_written_by_the_code_of_schema_1_is_pushed_and_stored_byte_for_byte(
    collector: Collector, tmp_path: Path
) -> None:
    shutil.copytree(SCHEMA_1, tmp_path / SCHEMA_1.name)
    (tmp_path / SCHEMA_1.name / "private").mkdir()
    run = RunFolder.open(SCHEMA_1.name, tmp_path)
    report = push(run, collector.url, TOKEN)
    assert (report.sent, report.rejected, report.closed) == (5, [], 1)
    shown = collector.get(f"/api/v1/runs/{run.manifest.run_id}").json()
    assert shown["counts"] == {"fail": 2, "pass": 2, "skip": 1}
    for line, each in zip((SCHEMA_1 / "records.jsonl").read_bytes().splitlines(), run.records(), strict=True):
        assert collector.get(f"/api/v1/records/{each.record_id}").content == line


def test_records_of_both_versions_in_one_batch_are_acknowledged_with_their_own_digests(collector: Collector) -> None:
    old = msgspec.structs.replace(record("mixed-1", CASES[0], Outcome.FAIL), schema=1)
    new = msgspec.structs.replace(record("mixed-1", CASES[1], Outcome.FAIL), diagnosis=DIAGNOSIS)
    collector.open(msgspec.structs.replace(manifest("mixed-1"), schema=1))
    answer = collector.add(old, new).json()
    assert [each["digest"] for each in answer["acknowledged"]] == [digest(old), digest(new)]
    assert collector.get(f"/api/v1/records/{new.record_id}").content == encode(new)
    assert b"diagnosis" not in collector.get(f"/api/v1/records/{old.record_id}").content


def test_a_record_of_a_later_version_is_refused_with_the_versions_that_are_read(collector: Collector) -> None:
    tree = msgspec.to_builtins(record("later-1", CASES[0])) | {"schema": 3}
    body = msgspec.json.encode({"records": [tree]})
    (refused,) = collector.post("/api/v1/records", body).json()["rejected"]
    assert "schema 3 is not supported; this build reads schema 1 and 2" in refused["problem"]["detail"]
