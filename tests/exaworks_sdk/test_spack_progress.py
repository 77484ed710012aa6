"""The progress of an installation: what is done, what is being built, and an estimate that follows the real pace."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from exaworks_sdk.release import Release, load
from exaworks_sdk.set_up_progress import Bar
from exaworks_sdk.spack.bootstrap import bootstrap
from exaworks_sdk.spack.progress import BuildDisplay, BuildProgress, installed_hashes, minutes
from exaworks_sdk.spack.tool import Spack
from tests.exaworks_sdk.conftest import wheel

LOCK = {
    "concrete_specs": {
        "aaaaaaaaaa": {"name": "flux-core"},
        "bbbbbbbbbb": {"name": "py-parsl"},
        "cccccccccc": {"name": "zlib"},
        "dddddddddd": {"name": "gcc", "external": {"path": "/usr"}},
    }
}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_externals_are_not_counted_and_each_package_counts_once() -> None:
    progress = BuildProgress(LOCK, frozenset(), Clock())
    assert (progress.done, progress.total, progress.share) == (0, 3, 0.0)
    assert progress.line("[ ] aaaaaaa flux-core@0.88.0 build (3s)") == ("flux-core@0.88.0 build (3s)", False)
    assert progress.line("[+] bbbbbbb py-parsl@1 /opt/py-parsl (9s)") == ("py-parsl@1", True)
    assert progress.line("[+] bbbbbbb py-parsl@1 /opt/py-parsl") is None
    assert progress.line("[e] ddddddd gcc@12 /usr") is None
    assert progress.line("==> Installing environment") is None
    assert (progress.done, progress.total) == (1, 3)
    assert 0 < progress.share < 0.1
    progress.line("[+] aaaaaaa flux-core@0.88.0 /opt/flux")
    assert progress.share > 0.8


def test_the_estimate_follows_the_pace_of_this_machine() -> None:
    clock = Clock()
    progress = BuildProgress(LOCK, frozenset(), clock)
    at_first = progress.left
    clock.now += 2 * 478  # twice as long as on the machine of the table
    progress.line("[+] aaaaaaa flux-core@0.88.0 /opt/flux")
    once = at_first - 478
    assert 1.3 * once < progress.left < 2 * once
    for line in ("[+] bbbbbbb py-parsl@1 /opt/a", "[+] ccccccc zlib@1 /opt/b"):
        progress.line(line)
    assert progress.left == 0
    assert progress.share == 1.0


def test_one_quick_package_changes_the_estimate_little() -> None:
    clock = Clock()
    progress = BuildProgress(LOCK, frozenset(), clock)
    at_first = progress.left
    clock.now += 1
    progress.line("[+] ccccccc zlib@1 /opt/zlib")
    assert progress.left > 0.8 * (at_first - 60)


@pytest.mark.parametrize("padding", ["", "__spack_path_placeholder__/__spack_path_placeho"])
def test_a_continued_installation_counts_what_is_there(tmp_path: Path, padding: str) -> None:
    database = tmp_path / padding / ".spack-db" / "index.json"
    database.parent.mkdir(parents=True)
    installs = {
        "aaaaaaaaaa": {"installed": True},
        "cccccccccc": {"installed": False},
        "eeeeeeeeee": {"installed": True},
    }
    database.write_text(json.dumps({"database": {"installs": installs}}))
    progress = BuildProgress(LOCK, installed_hashes(tmp_path), Clock())
    assert (progress.before, progress.done, progress.total) == (1, 1, 3)
    assert progress.left < 100


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"database": []}', '{"database": {"installs": {"a": 3}}}'])
def test_a_database_that_cannot_be_read_counts_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / ".spack-db").mkdir()
    (tmp_path / ".spack-db" / "index.json").write_text(text)
    assert installed_hashes(tmp_path) == frozenset()
    assert installed_hashes(tmp_path / "absent") == frozenset()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "less than a minute"), (29, "less than a minute"), (61, "about 1 min"), (725, "about 12 min")],
)
def test_durations_are_rough(seconds: float, text: str) -> None:
    assert minutes(seconds) == text
    assert minutes(4800) == "about 1 h 20 min"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_bar_shows_what_is_being_built_and_no_line_is_printed_for_each_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream, lines = Terminal(), list[str]()
    display = BuildDisplay(BuildProgress(LOCK, frozenset()), Bar(stream), lines.append)
    display.start(Path("/log"))
    display.line("[+] bbbbbbb py-parsl@1 /opt/py-parsl")
    display.line("[ ] aaaaaaa flux-core@0.88.0 build (3s)")
    assert len(lines) == 1
    assert lines[0].startswith("installing 3 packages; building all of them here takes about 9 min on two cores")
    last = stream.getvalue().split("\x1b[K")[-1]
    assert "1/3, about 9 min left: flux-core@0.88.0 build" in last
    assert last.startswith("[##")


def test_the_bar_never_goes_back_and_is_not_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    bar = Bar(stream)
    bar.show(0.5, "x" * 300)
    bar.show(0.2, "y")
    with bar.busy(0.1, "z"):
        pass
    frames = stream.getvalue().split("\r\x1b[K")
    assert all(len(frame) < 50 for frame in frames)
    assert "[############............]  50%" in frames[2]
    assert stream.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("terminal", ["dumb", ""])
def test_without_a_terminal_the_bar_writes_nothing(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setenv("TERM", terminal)
    for stream in (Terminal(), io.StringIO()):
        bar = Bar(stream)
        with bar.busy(0.1, "x"):
            bar.show(0.5, "y")
        bar.clear()
        assert stream.getvalue() == ""


def test_a_cloned_spack_gets_a_python_from_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "spack-python.lock"
    lock.write_text(wheel(tmp_path / "wheels", "1.0"))
    monkeypatch.setenv("EXAWORKS_WHEELHOUSE", str(tmp_path / "wheels"))
    monkeypatch.delenv("SPACK_PYTHON", raising=False)
    spack = Spack(tmp_path, own=True, environ={"A": "b"})
    lines: list[str] = []
    given = bootstrap(spack, tmp_path / "python", lock, lines.append)
    assert given.environ == {"A": "b", "SPACK_PYTHON": str(tmp_path / "python" / "bin" / "python")}
    assert (tmp_path / "python" / ".made").is_dir()
    lock.write_text(lock.read_text().replace("1.0", "3.0"))
    assert bootstrap(spack, tmp_path / "python", lock, lines.append) == spack
    assert lines[-1].endswith("Spack will bootstrap itself")
    monkeypatch.setenv("SPACK_PYTHON", "/usr/bin/python3")
    assert bootstrap(spack, tmp_path / "python", lock, lines.append) == spack


def test_the_lock_of_the_python_is_part_of_the_checkout() -> None:
    assert isinstance(load(), Release)
    root = Path(__file__).resolve().parents[2]
    assert "clingo==" in (root / "containers" / "spack-python.lock").read_text()
