"""The JSON of a run has every key that its docstring names, and only those."""

from __future__ import annotations

import json
from pathlib import Path

from sdk_tests.report.summary_json import summary_json
from tests.sdk_tests.report.examples import HOSTILE, effective, everything, manifest, record


def test_it_says_verdict_counts_and_every_case(tmp_path: Path) -> None:
    whole, records = everything()
    said = json.loads(json.dumps(summary_json(whole, effective(records), tmp_path)))
    assert (said["verdict"], said["exit_code"]) == ("failed", 1)
    assert sum(said["counts"].values()) == said["planned"] == len(said["cases"]) == 25
    found = {case["case_id"]: case for case in said["cases"]}
    assert found["parsl/htex:blocks=2@slurm"]["cause"] == {
        "phase": "run",
        "class": "component",
        "rule": "answer-asserted",
        "evidence": "assert outcome.answer['blocks'] == 2: the payload answered 1",
    }
    assert found["parsl/files@slurm"]["outcome"] == "missing"
    assert found["parsl/files@slurm"]["seconds"] == {"queue_wait": None, "launch": None, "run": None}
    assert found["psij/multinode@slurm/srun/2n"]["attempts"] == 2
    assert found["psij/hello@lsf"]["emulated"] is True
    assert said["emulated_passes"] == 3


def test_every_key_is_documented(tmp_path: Path) -> None:
    whole, records = everything()
    said = summary_json(whole, effective(records), tmp_path)
    documented = summary_json.__doc__ or ""
    for key in (*said, *said["cases"][0], *said["counts"], *said["paths"], *said["cases"][0]["seconds"]):
        assert key in documented, key


def test_paths_name_the_files_that_are_there(tmp_path: Path) -> None:
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
    said = summary_json(manifest(["psij/a@slurm"]), {}, tmp_path)
    assert (said["verdict"], said["exit_code"], said["meaning"], said["ended"]) == ("unfinished", None, None, None)


def test_hostile_text_stays_json(tmp_path: Path) -> None:
    found = record("psij/a@slurm", "fail", reproduce=HOSTILE)
    said = summary_json(manifest(["psij/a@slurm"], [found]), {"psij/a@slurm": found}, tmp_path)
    assert "\x1b" not in json.loads(json.dumps(said))["cases"][0]["reproduce"]
