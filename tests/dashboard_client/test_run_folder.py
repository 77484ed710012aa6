from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from dashboard_client.errors import RecordError, RunFolderError
from dashboard_client.runs import RunFolder, list_runs, new_run_id
from dashboard_client.schema import Manifest, Outcome, encode
from tests.dashboard_client.samples import CASES, RUN_ID, closing, environ, finished_run, manifest, record

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 11, 22, 12, 5, 1, tzinfo=timezone.utc)


def test_run_ids_sort_by_time_and_differ_within_a_second() -> None:
    first = new_run_id("workstation", NOON)
    later = new_run_id("workstation", NOON + timedelta(seconds=1))
    assert re.fullmatch(r"20261122T120501Z-workstation-[0-9a-f]{6}", first)
    assert first < later
    assert len({new_run_id("workstation", NOON) for _ in range(50)}) == 50


def test_a_run_id_is_in_utc_and_can_be_a_folder_name_for_every_system_name() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    assert new_run_id("a/b c", east).startswith("20261122T120501Z-a-b-c-")
    with pytest.raises(ValueError, match="time zone"):
        new_run_id("a", NOON.replace(tzinfo=None))


def test_a_new_run_has_its_manifest_and_a_private_folder_that_only_its_owner_can_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run = RunFolder.create(tmp_path / "runs", manifest())
    finally:
        os.umask(before)
    assert run.path == tmp_path / "runs" / RUN_ID
    assert run.private.stat().st_mode & 0o777 == 0o700
    assert (run.path / "manifest.json").read_bytes() == encode(manifest()) + b"\n"
    assert run.manifest == manifest()
    assert run.records() == []
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_a_new_run_never_overwrites_another(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, manifest())
    with pytest.raises(RunFolderError, match="the run already exists"):
        RunFolder.create(tmp_path, manifest())


@pytest.mark.parametrize("name", ["", "..", "a/b", "last", ".hidden", "a b"])
def test_a_run_id_that_cannot_be_a_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match="run_id"):
        RunFolder.create(tmp_path, manifest(run_id=name))
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_does_not_fit_the_schema_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"does not fit the schema.*\$\.site"):
        RunFolder.create(tmp_path, manifest(site=5))
    assert list(tmp_path.iterdir()) == []


def test_the_error_for_a_folder_that_cannot_be_created_names_it(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RunFolderError, match="runs"):
        RunFolder.create(tmp_path / "runs", manifest())


def test_a_run_is_found_by_id_by_prefix_by_folder_and_as_last(tmp_path: Path) -> None:
    old = RunFolder.create(tmp_path, manifest(run_id="20261121T000000Z-w-aaaaaa"))
    new = RunFolder.create(tmp_path, manifest(run_id="20261122T000000Z-w-bbbbbb"))
    assert RunFolder.open("20261121T000000Z-w-aaaaaa", tmp_path).path == old.path
    assert RunFolder.open("20261121", tmp_path).path == old.path
    assert RunFolder.open("last", tmp_path).path == new.path
    assert RunFolder.open(f"{old.path}/", Path("/nowhere")).path == old.path
    assert RunFolder.open(old.path, Path("/nowhere")).path == old.path
    assert [run.path for run in list_runs(tmp_path)] == [old.path, new.path]
    with pytest.raises(RunFolderError, match=r"more than one run matches: .*aaaaaa, .*bbbbbb\."):
        RunFolder.open("202611", tmp_path)
    with pytest.raises(RunFolderError, match="no such run in"):
        RunFolder.open("2025", tmp_path)
    with pytest.raises(RunFolderError, match=r"no manifest\.json"):
        RunFolder.open(tmp_path, tmp_path)
    with pytest.raises(RunFolderError, match="no runs yet"):
        RunFolder.open("last", tmp_path / "absent")


def test_a_full_id_names_its_run_even_if_another_id_begins_with_it(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, manifest(run_id="run-1"))
    RunFolder.create(tmp_path, manifest(run_id="run-10"))
    assert RunFolder.open("run-1", tmp_path).path.name == "run-1"


def test_the_highest_attempt_counts_for_its_case(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, manifest())
    with run.lock():
        run.append(record(CASES[0], Outcome.INFRA, final=False))
        run.append(record(CASES[1]))
        run.append(record(CASES[0], attempt=2))
    assert len(run.records()) == 3
    assert {case: stored.retries.attempt for case, stored in run.effective().items()} == {CASES[0]: 2, CASES[1]: 1}


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"run_id": "another"}, "run_id is 'another'"),
        ({"record_id": "0" * 64}, "site, system, run, case and attempt give"),
        ({"case_id": "parsl/unplanned@local"}, "not among the planned cases"),
    ],
)
def test_a_record_of_another_run_or_case_or_identity_is_refused(
    tmp_path: Path, over: dict[str, str], message: str
) -> None:
    run = RunFolder.create(tmp_path, manifest())
    with pytest.raises(RecordError, match=message):
        run.append(msgspec.structs.replace(record(), **over))
    assert run.records() == []


def test_closing_keeps_the_manifest_and_a_resumed_run_is_closed_again_with_the_next_number(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    assert RunFolder.open(RUN_ID, tmp_path).manifest == msgspec.structs.replace(manifest(), closed=closing())
    run.close(closing())
    with pytest.raises(RecordError, match="a new closing needs a higher number than that, not 1"):
        run.close(closing(exit_code=1))
    run.close(closing(sequence=2))
    closed = RunFolder.open(RUN_ID, tmp_path).manifest.closed
    assert closed is not None
    assert closed.sequence == 2


def test_the_error_for_a_damaged_manifest_names_the_field(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, manifest())
    (run.path / "manifest.json").write_bytes(encode(manifest()).replace(b'"local"', b"7", 1))
    with pytest.raises(RecordError, match=r"manifest\.json: .*\$"):
        _ = RunFolder.open(RUN_ID, tmp_path).manifest


def test_a_second_process_is_refused_with_the_pid_of_the_first_until_that_one_is_killed(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, manifest())
    program = (
        "import sys; from pathlib import Path; from dashboard_client.runs import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    )
    call = [sys.executable, "-c", program, str(run.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(call, stdin=pipe, stdout=pipe, cwd=ROOT, env=environ()) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(RunFolderError, match=rf"another process is writing this run \(pid {holder.pid} on "):
                run.append(record())
        finally:
            holder.kill()
    run.append(record())
    assert run.records() == [record()]


def test_the_lock_may_be_nested_and_is_released_afterwards(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, manifest())
    with run.lock(), run.lock():
        run.append(record())
        with pytest.raises(RunFolderError, match=str(os.getpid())), RunFolder(run.path).lock():
            pass
    with RunFolder(run.path).lock():
        pass


def test_a_run_that_is_resumed_after_a_kill_reports_the_torn_line(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, manifest())
    run.append(record())
    with (run.path / "records.jsonl").open("ab") as stream:
        stream.write(b'{"case":')
    resumed = RunFolder.open(RUN_ID, tmp_path)
    assert resumed.reading().torn == b'{"case":'
    resumed.append(record(CASES[1]))
    assert resumed.torn == b'{"case":'
    assert len(resumed.records()) == 2
    assert resumed.reading().torn is None


def test_a_reader_never_reads_half_a_manifest(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, manifest())
    done = threading.Event()
    broken: list[Exception] = []

    def watch() -> None:
        while not done.is_set():
            try:
                msgspec.json.decode((run.path / "manifest.json").read_bytes(), type=Manifest)
            except (msgspec.MsgspecError, OSError) as error:
                broken.append(error)

    reader = threading.Thread(target=watch)
    reader.start()
    try:
        for sequence in range(1, 30):
            run.close(closing(sequence=sequence))
    finally:
        done.set()
        reader.join()
    assert broken == []
