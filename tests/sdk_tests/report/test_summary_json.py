"""The JSON summary of a run has every documented key, and only those."""

from __future__ import annotations

import json
from pathlib import Path

from sdk_tests.report.summary_json import summary_json
from tests.sdk_tests.report.examples import HOSTILE, effective, everything, manifest, record


def test_the_summary_contains_the_verdict_the_counts_and_every_case(tmp_path: Path) -> None:
    whole, records = everything()
    summary = json.loads(json.dumps(summary_json(whole, effective(records), tmp_path)))
    assert (summary["verdict"], summary["exit_code"]) == ("failed", 1)
    assert sum(summary["counts"].values()) == summary["planned"] == len(summary["cases"]) == 25
    cases = {case["case_id"]: case for case in summary["cases"]}
    assert cases["parsl/htex:blocks=2@slurm"]["cause"] == {
        "phase": "run",
        "class": "component",
        "rule": "answer-asserted",
        "evidence": "assert outcome.answer['blocks'] == 2: the payload answered 1",
    }
    assert cases["parsl/files@slurm"]["outcome"] == "missing"
    assert cases["parsl/files@slurm"]["seconds"] == {"queue_wait": None, "launch": None, "run": None}
    assert cases["psij/multinode@slurm/srun/2n"]["attempts"] == 2
    assert cases["psij/hello@lsf"]["emulated"] is True
    assert summary["emulated_passes"] == 3


def test_every_key_is_documented(tmp_path: Path) -> None:
    whole, records = everything()
    summary = summary_json(whole, effective(records), tmp_path)
    documented = summary_json.__doc__ or ""
    for key in (*summary, *summary["cases"][0], *summary["counts"], *summary["paths"], *summary["cases"][0]["seconds"]):
        assert key in documented, key


def test_paths_name_the_existing_files(tmp_path: Path) -> None:
    whole, records = everything()
    (tmp_path / "records.jsonl").touch()
    paths = summary_json(whole, effective(records), tmp_path)["paths"]
    assert paths == {
        "folder": str(tmp_path),
        "manifest": None,
        "records": str(tmp_path / "records.jsonl"),
        "junit": None,
        "report": None,
    }


def test_an_open_run_has_no_exit_code(tmp_path: Path) -> None:
    summary = summary_json(manifest(["psij/a@slurm"]), {}, tmp_path)
    assert (summary["verdict"], summary["exit_code"], summary["meaning"], summary["ended"]) == (
        "unfinished",
        None,
        None,
        None,
    )


def test_control_characters_are_removed_from_the_summary(tmp_path: Path) -> None:
    failed = record("psij/a@slurm", "fail", reproduce=HOSTILE)
    summary = summary_json(manifest(["psij/a@slurm"], [failed]), {"psij/a@slurm": failed}, tmp_path)
    assert "\x1b" not in json.loads(json.dumps(summary))["cases"][0]["reproduce"]
