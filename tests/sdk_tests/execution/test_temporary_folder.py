"""TMPDIR of an attempt: short enough for UNIX sockets, private, and gone when the attempt has ended."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk_tests.execution import temporary_folder
from tests.sdk_tests.bench import Bench

LONG = "x" * 80
SOURCE = """
    import json, os, pathlib, tempfile
    folder = pathlib.Path(os.environ["TMPDIR"])
    (folder / "kept").touch()
    here = {"folder": str(folder), "mode": folder.stat().st_mode & 0o777, "used": tempfile.gettempdir()}
    print(json.dumps(here))
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path, in which private folders are created."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    monkeypatch.setattr(temporary_folder, "PLACE", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_a_short_scratch_folder_contains_the_temporary_folder(short: Path) -> None:
    assert temporary_folder.create(str(short), "run/case#1", one_machine=False) == f"{short}/tmp"
    assert (short / "tmp").stat().st_mode & 0o777 == 0o700


def test_with_a_long_scratch_folder_the_temporary_folder_is_private_and_short(short: Path) -> None:
    scratch = short / LONG
    scratch.mkdir()
    created = temporary_folder.create(str(scratch), "run/case#1", one_machine=True)
    assert created is not None
    assert len(created) <= temporary_folder.LONGEST
    assert Path(created).parent == short
    assert Path(created).stat().st_mode & 0o777 == 0o700
    with socket.socket(socket.AF_UNIX) as listener:  # what programs create below it
        Path(created, "pymp-01234567").mkdir()
        listener.bind(f"{created}/pymp-01234567/listener-01234567")


def test_an_attempt_on_other_machines_keeps_its_own_folder_if_the_scratch_path_is_long(short: Path) -> None:
    scratch = short / LONG
    scratch.mkdir()
    assert temporary_folder.create(str(scratch), "run/case#1", one_machine=False) is None
    assert list(short.iterdir()) == [scratch]


def test_each_attempt_has_its_own_folder_and_only_those_of_the_run_are_removed(short: Path) -> None:
    scratch = str(short / LONG)
    marks = ["run1/case#1", "run1/case#2", "run2/case#1"]
    created = [str(temporary_folder.create(scratch, mark, one_machine=True)) for mark in marks]
    assert len(set(created)) == 3
    Path(created[1], "file").touch()
    temporary_folder.remove(marks[0])
    assert [Path(path).exists() for path in created] == [False, True, True]
    temporary_folder.remove_all("run1")
    assert [Path(path).exists() for path in created] == [False, False, True]


def test_the_folder_of_a_requeued_job_is_used_again(short: Path) -> None:
    scratch = str(short / LONG)
    first = temporary_folder.create(scratch, "run/case#1", one_machine=True)
    assert temporary_folder.create(scratch, "run/case#1", one_machine=True) == first


@pytest.mark.parametrize("kind", ["link", "open folder"])
def test_a_prepared_entry_of_another_user_is_neither_used_nor_removed(kind: str, short: Path) -> None:
    """Names in /tmp can be taken by others; nobody else may enter or redirect the folder."""
    scratch, mark = str(short / LONG), "run/case#1"
    taken = Path(str(temporary_folder.create(scratch, mark, one_machine=True)))
    taken.rmdir()
    if kind == "link":
        (short / "elsewhere").mkdir(mode=0o700)
        taken.symlink_to(short / "elsewhere")
    else:
        taken.mkdir()
        taken.chmod(0o777)
    assert temporary_folder.create(scratch, mark, one_machine=True) is None
    temporary_folder.remove(mark)
    assert taken.exists()


def test_a_payload_has_a_private_temporary_folder_that_is_gone_after_the_run(bench: Bench) -> None:
    case_id = bench.case("temporary", SOURCE, "assert outcome.answer['used'] == outcome.answer['folder']")
    result = bench.run()
    assert result.verdict(case_id) == ("pass",), result.output
    name = temporary_folder._prefix(result.run.path.name)
    assert list(Path("/tmp").glob(f"{Path(name).name}*")) == []
