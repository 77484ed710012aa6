from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dashboard_client.errors import RecordError, RunFolderError
from dashboard_client.schema import Evidence, Metric, Outcome, Record, Stack, canonical, digest, encode
from dashboard_client.spool import Spool, read, scan
from tests.dashboard_client.samples import CASES, environ, record

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def with_tail(original: Record, size: int) -> Record:
    return msgspec.structs.replace(original, evidence=Evidence(output_tail="x" * size))


def test_a_stored_record_is_one_canonical_line_and_is_read_back_equal(path: Path) -> None:
    with Spool(path) as spool:
        spool.append(record())
        spool.append(record(CASES[1]))
    assert path.read_bytes() == encode(record()) + b"\n" + encode(record(CASES[1])) + b"\n"
    assert read(path).records == [record(), record(CASES[1])]
    assert read(path).torn is None


def test_line_ends_and_control_characters_in_a_record_do_not_split_its_line(path: Path) -> None:
    odd = with_tail(record(), 1)
    odd = msgspec.structs.replace(odd, evidence=Evidence(output_tail='a\nb\r\n\x00\x85\u2028é"\\'))
    with Spool(path) as spool:
        spool.append(odd)
        spool.append(record(CASES[1]))
    assert read(path).records == [odd, record(CASES[1])]


def test_records_share_the_parts_that_are_equal(path: Path) -> None:
    other = msgspec.structs.replace(record(CASES[1]), stack=Stack(python="3.12.1"))
    with Spool(path) as spool:
        for each in (record(), record(CASES[2]), other):
            spool.append(each)
    first, second, third = read(path).records
    assert first.context is second.context is third.context
    assert first.stack is second.stack is not third.stack
    assert [first, second, third] == [record(), record(CASES[2]), other]


def test_records_can_be_read_one_after_the_other(path: Path) -> None:
    with Spool(path) as spool:
        for number in range(20):
            spool.append(with_tail(record(f"python/big:n={number}@slurm"), 200_000))
    tracemalloc.start()
    try:
        lengths = [len(each.evidence.output_tail or "") for _, each in scan(path) if each is not None]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lengths == [200_000] * 20
    assert peak < path.stat().st_size / 2


def test_each_record_is_one_write_and_one_fsync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda fd, data: (calls.append("write"), write(fd, data))[1])
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd))[1])
    with Spool(path) as spool:
        calls.clear()
        spool.append(record())
        spool.append(record(CASES[1]))
    assert calls == ["write", "fsync"] * 2


def test_a_whole_number_in_a_float_field_has_the_digest_that_a_reader_computes(path: Path) -> None:
    original = record(metrics=[Metric(name="jobs", value=3, unit="1", better="higher")])
    with Spool(path) as spool:
        spool.append(original)
    reading = read(path)
    assert digest(reading.records[0]) == digest(canonical(original))
    assert encode(reading.records[0]) == reading.lines[0]


def test_the_same_record_again_is_stored_once(path: Path) -> None:
    with Spool(path) as spool:
        spool.append(record())
        spool.append(record())
    with Spool(path) as spool:
        spool.append(record())
    assert len(read(path).lines) == 1


def test_another_record_of_the_same_attempt_is_refused_also_after_reopening(path: Path) -> None:
    with Spool(path) as spool:
        spool.append(record())
        with pytest.raises(RecordError, match=r"attempt 1 of control/hello@local has a record already"):
            spool.append(record(outcome=Outcome.FAIL))
    with Spool(path) as spool, pytest.raises(RecordError, match=r"a different one \(digest .*\) is refused"):
        spool.append(record(outcome=Outcome.FAIL))
    assert read(path).records == [record()]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (record(case_id=CASES[0], extras={"a": object()}), "serializ|not supported|Encoding"),
        (record(metrics=[Metric(name="n", value=float("nan"), unit="s", better="lower")]), r"metrics\[0\]\.value|\$"),
        (record(evidence=Evidence(output_tail="\ud800")), "surrogates"),
    ],
)
def test_a_record_that_does_not_fit_the_schema_is_refused_before_anything_is_written(
    path: Path, broken: Record, message: str
) -> None:
    with Spool(path) as spool:
        with pytest.raises(RecordError, match=message):
            spool.append(broken)
        assert path.read_bytes() == b""
        spool.append(record())
    assert read(path).records == [record()]


def test_a_torn_last_line_is_moved_away_and_reported_and_the_next_record_is_complete(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = encode(record()) + b"\n"
    torn = encode(record(CASES[1]))[:-7]
    path.write_bytes(whole + torn)
    assert read(path).torn == torn
    with Spool(path) as spool:
        assert spool.torn == torn
        spool.append(record(CASES[1]))
    assert path.read_bytes() == whole + encode(record(CASES[1])) + b"\n"
    assert path.with_name("records.jsonl.torn").read_bytes() == torn + b"\n"
    assert "the last line was torn" in caplog.text


def test_a_second_torn_line_does_not_overwrite_the_first_one(path: Path) -> None:
    for torn in (b"first", b"second"):
        with path.open("ab") as stream:
            stream.write(torn)
        Spool(path).close()
    assert path.with_name("records.jsonl.torn").read_bytes() == b"first\nsecond\n"


def test_the_error_for_a_malformed_line_names_line_and_field(path: Path) -> None:
    tree = json.loads(encode(record()))
    tree["verdict"]["outcome"] = "green"
    path.write_bytes(encode(record(CASES[1])) + b"\n" + json.dumps(tree).encode() + b"\n" + encode(record()) + b"\n")
    with pytest.raises(RecordError, match=r"records\.jsonl, line 2: .*\$\.verdict\.outcome"):
        read(path)
    with pytest.raises(RecordError, match="line 2"):
        Spool(path)


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"schema":3}'])
def test_a_complete_line_that_is_not_a_record_is_an_error_and_not_a_crash(path: Path, line: bytes) -> None:
    path.write_bytes(encode(record()) + b"\n" + line + b"\n")
    with pytest.raises(RecordError, match="line 2"):
        read(path)


def test_two_different_lines_with_one_record_id_are_an_error(path: Path) -> None:
    path.write_bytes(encode(record()) + b"\n" + encode(record(outcome=Outcome.FAIL)) + b"\n")
    with pytest.raises(RecordError, match="differs from line 1"):
        read(path)


WRITER = """
import sys
from pathlib import Path
from dashboard_client.schema import Evidence
from dashboard_client.spool import Spool
from tests.dashboard_client.samples import manifest, record
import msgspec
with Spool(Path(sys.argv[1])) as spool:
    for number in range(1, 100000):
        original = record(attempt=number)
        spool.append(msgspec.structs.replace(original, evidence=Evidence(output_tail="x" * 20000)))
        print(number, flush=True)
"""


def test_a_killed_writer_leaves_every_record_that_it_had_acknowledged(path: Path) -> None:
    for acknowledged in (1, 7, 40):
        path.unlink(missing_ok=True)
        program = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=ROOT, env=environ()) as writer:
            assert writer.stdout is not None
            try:
                lines = [writer.stdout.readline() for _ in range(acknowledged)]
            finally:
                writer.kill()
            last = int(lines[-1])
            later = [int(line) for line in writer.stdout if line.strip().isdigit() and line.endswith(b"\n")]
        known = max([last, *later])
        attempts = [stored.retries.attempt for stored in read(path).records]
        assert attempts == list(range(1, len(attempts) + 1))
        assert known <= len(attempts) <= known + 1
        with Spool(path) as spool:
            spool.append(record(CASES[1]))
        assert read(path).torn is None
        assert read(path).records[-1] == record(CASES[1])


def check_full(path: Path, spool: Spool) -> None:
    """Append records until the disk is full, and check that the record that did not fit left nothing in the file."""
    stored = 0

    def fill() -> None:
        nonlocal stored
        for number in range(1, 1000):
            spool.append(with_tail(record(attempt=number), 3000))
            stored = number

    with pytest.raises(RunFolderError) as caught:
        fill()
    refused = record(attempt=stored + 1)
    assert "disk full" in caught.value.message
    assert refused.record_id in caught.value.message
    assert refused.case_id in caught.value.message
    assert stored > 0
    assert path.read_bytes().endswith(b"}\n")
    assert len(read(path).records) == stored
    assert read(path).torn is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_destroys_no_stored_record_and_leaves_no_torn_line(small_disk: Path) -> None:
    path = small_disk / "records.jsonl"
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 20000)
    with Spool(path) as spool:
        check_full(path, spool)
        stored = len(read(path).records)
        filler.unlink()
        spool.append(with_tail(record(attempt=stored + 1), 3000))
    assert len(read(path).records) == stored + 1


def test_a_file_size_limit_is_reported_as_a_full_disk_and_leaves_no_torn_line(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Spool(path) as spool:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
            check_full(path, spool)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_another_process_extends_is_not_overwritten(path: Path) -> None:
    with Spool(path) as spool:
        spool.append(record())
        with path.open("ab") as other:
            other.write(encode(record(CASES[1])) + b"\n")
        with pytest.raises(RunFolderError, match="another process"):
            spool.append(record(CASES[2]))
    assert len(read(path).records) == 2


def test_an_interrupt_during_the_fsync_leaves_the_spool_usable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(fd: int) -> None:
        raise KeyboardInterrupt

    with Spool(path) as spool:
        spool.append(record())
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", interrupted)
            with pytest.raises(KeyboardInterrupt):
                spool.append(record(CASES[1]))
        spool.append(record(CASES[2]))
    assert read(path).records == [record(), record(CASES[2])]


def test_the_error_for_a_spool_that_cannot_be_opened_states_the_reason(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot be opened for appending"):
        Spool(tmp_path / "absent" / "records.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunFolderError, match="cannot be read"):
        read(tmp_path / "folder")
