"""Ratios are shown only if other programs left the machine alone, and a page is written only from such tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import all as everything
from benchmarks.load import LIMIT, Load
from benchmarks.pages import BEGIN, END, PageError, names, replaced
from benchmarks.results import REFUSED, VARIABLE, Table, publish, stored

ROWS = [["bare", 100, 0.2, None], ["ours", 100, 0.5, 2.5]]
HEADERS = ("program", "cases", "s", "ratio")


def published(others: float) -> Table:
    return publish("harness", HEADERS, ROWS, Load(others, 1.0, 10.0), times=("s", "ratio"))


@pytest.mark.parametrize("others", [0.0, LIMIT])
def test_an_idle_machine_shows_times_and_ratios(others: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert "2.5" in published(others).text()
    assert REFUSED not in capsys.readouterr().out


@pytest.mark.parametrize("others", [LIMIT + 0.01, 0.5, 1.0])
def test_a_busy_machine_shows_neither_times_nor_ratios_but_the_counts(
    others: float, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in (published(others).text(), published(others).markdown(), capsys.readouterr().out):
        assert "2.5" not in text
        assert "0.5 " not in text
        assert text.count(REFUSED) >= 3
        assert "100" in text


def test_a_stored_table_is_the_published_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "results"))
    tables = [published(0.02), published(0.7)]
    assert stored(tmp_path / "results") == tables
    assert len((tmp_path / "results").read_text().splitlines()) == 2


def test_a_table_is_written_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    place = f"{BEGIN.format('harness')}\nold\n{END.format('harness')}"
    page.write_text(f"# Title\n\n{place}\n\nAfter.\n")
    everything.write(page, [published(0.05)], "the pace")
    text = page.read_text()
    assert text.startswith("# Title\n\n<!--")
    assert text.endswith("-->\n\nAfter.\n")
    assert "old" not in text
    assert "| ours | 100 | 0.5 | 2.5 |" in text
    assert "other programs used 5% of the cores" in text
    assert "the pace." in text
    everything.write(page, [published(0.05)], "the pace")
    assert page.read_text() == text


@pytest.mark.parametrize("page", ["", BEGIN.format("harness"), END.format("harness") + BEGIN.format("harness")])
def test_a_page_without_the_place_of_a_table_is_refused(page: str) -> None:
    with pytest.raises(PageError, match="benchmark harness"):
        replaced(page, "harness", "x")


def test_the_page_has_a_place_for_each_table_and_no_other() -> None:
    everything.check(everything.PAGE.read_text(encoding="utf-8"))


def test_a_benchmark_whose_tables_were_measured_at_load_is_a_problem() -> None:
    benchmark = everything.Benchmark("harness", ("x",), ("harness",), 1, "")
    assert everything.problem_of(benchmark, 0, [published(0.0)]) == ""
    assert "used 40% of the cores" in everything.problem_of(benchmark, 0, [published(0.4)])
    assert "exit code 2" in everything.problem_of(benchmark, 2, [published(0.0)])
    assert "no table harness" in everything.problem_of(benchmark, 0, [])


ENDED = """deadline = time.monotonic() + 120
while watch.load().own_seconds < 0.5 and time.monotonic() < deadline:
    time.sleep(0.1)"""
"""Waits until the work was done, however busy the machine is."""
BUSY = "import time\nwhile time.process_time() < 0.6: pass"
WATCHED = """
import json, subprocess, sys, time
from benchmarks.load import Watch
watch = Watch()
{}
load = watch.load()
print(json.dumps([load.others * load.seconds, load.own_seconds]))
"""


def watched(step: str) -> tuple[float, float]:
    """Return the processor seconds of others (in units of all cores) and of a process that does something."""
    program = WATCHED.format(step)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=everything.ROOT
    )
    others, own = json.loads(done.stdout)
    return others, own


def test_the_work_of_descendants_is_own_work_even_if_their_parent_has_ended() -> None:
    child = f"subprocess.run([sys.executable, '-c', {BUSY!r}])"
    orphan = f"subprocess.Popen(['sh', '-c', '\"$0\" -c \"$1\" & exit', sys.executable, {BUSY!r}]).wait(); {ENDED}"
    assert watched("time.sleep(0.3)")[1] < 0.3
    assert watched(child)[1] > 0.4
    assert watched(orphan)[1] > 0.4


COLLECTED = """
import os, subprocess, time
from pathlib import Path
from benchmarks import load
load.COLLECT = 0.02
load.Watch()
child = subprocess.Popen(["false"])
subprocess.run(["sh", "-c", "setsid sh -c 'echo $$' & exit"], check=True)
deadline = time.monotonic() + 60
children = Path(f"/proc/self/task/{os.getpid()}/children")
while len(children.read_text().split()) > 1 and time.monotonic() < deadline:
    time.sleep(0.05)
print(children.read_text().split() == [str(child.pid)], child.wait())
"""


def test_ended_orphans_are_collected_and_children_are_left_to_those_who_wait_for_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COLLECTED], capture_output=True, text=True, check=True, cwd=everything.ROOT
    )
    assert done.stdout.splitlines()[1:] == ["True 1"], done.stdout + done.stderr


def test_the_work_of_another_process_is_the_work_of_others() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY.replace("0.6", "1.5")])
    others, own = watched("time.sleep(1.5)")
    process.wait()
    assert others > 0.2
    assert own < 0.5


def test_names_lists_the_places_in_their_order() -> None:
    page = "".join(f"{BEGIN.format(name)}\n{END.format(name)}\n" for name in ("b", "a-1"))
    assert names(page) == ["b", "a-1"]


def prepared(monkeypatch: pytest.MonkeyPatch, page: Path, others: float) -> list[str]:
    """Let the only benchmark give a table measured at a load, on a machine that is idle before; return what was run."""
    ran: list[str] = []
    benchmark = everything.Benchmark("harness", ("x",), ("harness",), 1, "what it is")

    def run(one: everything.Benchmark) -> tuple[list[Table], str]:
        ran.append(one.name)
        tables = [published(others)]
        return tables, everything.problem_of(one, 0, tables)

    page.write_text(f"{BEGIN.format('harness')}\nold\n{END.format('harness')}\n")
    monkeypatch.setattr(everything, "BENCHMARKS", (benchmark,))
    monkeypatch.setattr(everything, "PAGE", page)
    monkeypatch.setattr(everything, "run", run)
    monkeypatch.setattr(everything, "before", lambda: Load(0.0, 0.0, 3.0))
    return ran


def test_nothing_is_run_on_a_machine_that_is_busy_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = prepared(monkeypatch, tmp_path / "page.md", 0.0)
    monkeypatch.setattr(everything, "before", lambda: Load(0.4, 0.0, 3.0))
    assert everything.main(["--write"]) == 3
    assert ran == []
    assert "used 40% of the cores" in capsys.readouterr().err
    assert "old" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(("others", "code", "written"), [(0.05, 0, True), (0.5, 1, False)])
def test_the_page_keeps_its_table_if_the_machine_became_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: float, code: int, written: bool
) -> None:
    assert prepared(monkeypatch, tmp_path / "page.md", others) == []
    assert everything.main(["--write"]) == code
    assert ("old" in (tmp_path / "page.md").read_text()) is not written


def test_a_benchmark_without_its_program_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = prepared(monkeypatch, tmp_path / "page.md", 0.0)
    absent = everything.Benchmark("harness", ("x",), ("harness",), 1, "", needs="no-such-program")
    monkeypatch.setattr(everything, "BENCHMARKS", (absent,))
    assert everything.main([]) == 0
    assert ran == []
    assert "left out, no-such-program is not on PATH" in capsys.readouterr().out
