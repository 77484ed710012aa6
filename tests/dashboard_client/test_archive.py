from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard_client.archive import export, open_archive, preview
from dashboard_client.errors import RecordError, RunFolderError
from dashboard_client.runs import OUTBOX, RunFolder
from dashboard_client.schema import encode
from dashboard_client.upload import push
from tests.dashboard_client.loopback import TOKEN, FakeCollector, serving
from tests.dashboard_client.samples import RUN_ID, finished_run, manifest

HEAD = RUN_ID


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = finished_run(tmp_path / "runs")
    (folder.path / "junit.xml").write_text("<testsuites/>")
    (folder.path / "report.html").write_text("<html></html>")
    (folder.private / "output.txt").write_text("private evidence")
    (folder.path / "notes.txt").write_text("not in the outbox")
    (folder.path / "records.jsonl.torn").write_text("torn")
    return folder


def test_an_archive_contains_the_outbox_and_nothing_else_of_the_run(run: RunFolder, tmp_path: Path) -> None:
    path = export(run, tmp_path)
    assert path == tmp_path / f"{RUN_ID}.tar.gz"
    with tarfile.open(path) as tar:
        assert tar.getnames() == [f"{RUN_ID}/{name}" for name in OUTBOX]
        for name in OUTBOX:
            content = tar.extractfile(f"{RUN_ID}/{name}")
            assert content is not None
            assert content.read() == (run.path / name).read_bytes()
        assert {(member.uid, member.gid, member.uname, member.mtime) for member in tar} == {(0, 0, "", 0)}


def test_two_archives_of_a_run_have_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    first = export(run, tmp_path / "a.tar.gz").read_bytes()
    os.utime(run.path / "manifest.json", (1, 1))
    assert export(run, tmp_path / "b.tgz").read_bytes() == first


def test_a_preview_shows_the_exact_bytes_that_leave_the_machine(run: RunFolder) -> None:
    files = dict(preview(run))
    assert list(files) == list(OUTBOX)
    assert all(files[name] == (run.path / name).read_bytes() for name in OUTBOX)


def test_an_incomplete_line_does_not_leave_the_machine(run: RunFolder) -> None:
    whole = (run.path / "records.jsonl").read_bytes()
    with (run.path / "records.jsonl").open("ab") as stream:
        stream.write(b'{"case":')
    assert dict(preview(run))["records.jsonl"] == whole


def test_a_symbolic_link_does_not_leave_the_machine(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("secret")
    (run.path / "report.html").unlink()
    (run.path / "report.html").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="symbolic link"):
        list(preview(run))


def test_an_export_does_not_overwrite_a_file_with_another_ending(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(RunFolderError, match="neither a folder nor a file name that ends in"):
        export(run, tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == "mine"
    with pytest.raises(RunFolderError, match="cannot be written"):
        export(run, tmp_path / "absent" / "a.tar.gz")


def test_a_run_can_be_pushed_from_its_archive(run: RunFolder, tmp_path: Path) -> None:
    with serving(FakeCollector()) as collector:
        with open_archive(export(run, tmp_path)) as unpacked:
            folder = unpacked.path
            assert push(unpacked, collector.url, TOKEN).sent == 3
        assert not folder.exists()
        assert push(run, collector.url, TOKEN).sent == 3
        assert collector.stored_times == 3


def add(name: str, data: bytes = b"x", **over: object) -> Callable[[tarfile.TarFile], None]:
    def put(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        for field, value in over.items():
            setattr(member, field, value)
        tar.addfile(member, io.BytesIO(data))

    return put


GOOD = add(f"{HEAD}/manifest.json", encode(manifest()))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([GOOD, add("/etc/passwd")], "/etc/passwd"),
        ([GOOD, add(f"{HEAD}/../../evil")], "evil"),
        ([GOOD, add("../manifest.json")], "manifest"),
        ([add("../manifest.json")], "manifest"),
        ([GOOD, add(f"{HEAD}/private/output.txt")], "output.txt"),
        ([GOOD, add(f"{HEAD}/report.html", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "report.html"),
        ([GOOD, add(f"{HEAD}/report.html", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "report.html"),
        ([GOOD, add(f"{HEAD}/junit.xml", b"", type=tarfile.FIFOTYPE)], "junit.xml"),
        ([GOOD, GOOD], "manifest"),
        ([GOOD, add("another-run/records.jsonl")], "another-run"),
        ([GOOD, add("manifest.json")], "manifest"),
        ([add(f"{HEAD}/records.jsonl")], r"no manifest\.json"),
        ([], r"no manifest\.json"),
        ([add("another-run/manifest.json", encode(manifest()))], "another-run"),
    ],
)
def test_an_archive_that_contains_anything_else_is_refused(
    tmp_path: Path, members: list[Callable[[tarfile.TarFile], None]], message: str
) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for put in members:
            put(tar)
    with pytest.raises(RunFolderError, match=message), open_archive(path):
        pass
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.tar.gz"]


@pytest.mark.parametrize("cut", [0, 5, 200])
def test_the_error_for_a_damaged_archive_names_it(run: RunFolder, tmp_path: Path, cut: int) -> None:
    path = export(run, tmp_path / "x.tar.gz")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(RunFolderError, match=r"x\.tar\.gz"), open_archive(path):
        pass
    with pytest.raises(RunFolderError, match="absent"), open_archive(tmp_path / "absent.tar.gz"):
        pass


def test_the_error_for_an_archive_with_a_damaged_manifest_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        add(f"{HEAD}/manifest.json", b'{"schema":1}')(tar)
    with pytest.raises(RecordError, match=r"manifest\.json: not a manifest of this schema"), open_archive(path):
        pass
