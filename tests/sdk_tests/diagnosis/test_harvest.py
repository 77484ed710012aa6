"""Logs that an attempt left behind: found by the reader of their component, bounded, and kept in the private folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdk_tests.diagnosis import harvest as module
from sdk_tests.diagnosis.harvest import Keep, described, harvest, read_ends, reader_of
from sdk_tests.plan.components import components
from sdk_tests.plan.probe import PAYLOADS

PARSL = reader_of(PAYLOADS / "parsl" / "_logs.py")


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """The scratch folders are below the private folder, as on a machine without a shared work folder."""
    private = tmp_path / "private"
    (private / "work").mkdir(parents=True)
    return Keep(private, private / "work", "work", private / "logs" / "000-case-1")


def scratch(keep: Keep, *files: str) -> Path:
    folder = keep.work / "000-case-1"
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"ERROR in {path.name}\n")
    return folder


LOGS = {
    "parsl": [
        "runinfo/000/submit_scripts/parsl.htex.block-0.1.sh.stderr",
        "runinfo/000/htex/block-0/a1/worker_0.log",
        "runinfo/000/htex/block-0/a1/manager.log",
        "runinfo/000/htex/interchange.log",
        "runinfo/000/parsl.log",
    ],
    "radical.pilot": [
        "rct.x/session/pilot.0000/agent_executing.0000.log",
        "rct.x/session/pilot.0000/agent_0.err",
        "rct.x/session/pilot.0000/bootstrap_0.err",
        "rct.x/session/pilot.0000/task.000000/task.000000.err",
        "rct.x/session/pmgr_launching.0000.log",
    ],
    "radical.entk": ["rct.x/session/radical.entk.log"],
    "psij": ["psij/ab12/job.err", "psij/12.out", "hello.err"],
    "flux": ["broker.log", "job.err"],
    "swift-t": ["swift-t.out", "turbine-output/2026/output.txt"],
    "maestro": ["study_1/logs/study.log", "study_1/step/step.err"],
    "colmena": [
        "runinfo/000/htex/block-0/a1/worker_0.log",
        "runinfo/000/htex/interchange.log",
        "runinfo/000/parsl.log",
    ],
    "dask": ["dask-logs/slurm-12.err", "dask-logs/slurm-12.out", "worker-0.err", "psij/ab12/12.out"],
    "globus-compute": [
        "endpoint/submit_scripts/x.stderr",
        "endpoint/htex/block-0/a1/worker_0.log",
        "endpoint/endpoint.log",
    ],
    "libensemble": ["libe_task_sim_worker1_0.err", "ensemble.log", "libE_stats.txt", "psij/ab12/12.out"],
}


@pytest.mark.parametrize("component", LOGS)
def test_each_component_has_a_reader_that_finds_its_logs(component: str, keep: Keep) -> None:
    kind = components()[component]
    assert kind.logs is not None
    root = scratch(keep, *LOGS[component], "data.bin", "value.txt")
    texts = harvest([(component, reader_of(PAYLOADS / kind.logs))], root, keep)
    found = [Path(text.path or "").relative_to("work/000-case-1").as_posix() for text in texts]
    assert set(LOGS[component]) <= set(found)
    assert len(found) == len(set(found)), "a log was read twice"
    assert "data.bin" not in found
    assert {text.owner for text in texts} == {component}


def test_every_component_of_the_harness_has_a_reader() -> None:
    """A new component brings its own: docs/extending.md."""
    assert all(kind.logs and (PAYLOADS / kind.logs).is_file() for kind in components().values())


def test_a_component_without_a_reader_has_every_file_read_that_looks_like_a_log(keep: Keep) -> None:
    root = scratch(keep, "a.log", "deep/er/b.err", "result.json")
    texts = harvest([("own", reader_of(None))], root, keep)
    assert sorted(text.name for text in texts) == ["a.log", "b.err"]


def test_a_log_below_the_private_folder_is_named_and_not_copied(keep: Keep) -> None:
    root = scratch(keep, "runinfo/000/parsl.log")
    (text,) = harvest([("parsl", PARSL)], root, keep)
    assert text.path == "work/000-case-1/runinfo/000/parsl.log"
    assert (keep.private / text.path).samefile(root / "runinfo/000/parsl.log")
    assert not keep.copies.exists()


def test_a_log_elsewhere_is_copied_into_the_private_folder(tmp_path: Path) -> None:
    private, shared = tmp_path / "private", tmp_path / "shared"
    private.mkdir()
    keep = Keep(private, shared, None, private / "logs" / "000-case-1")
    root = scratch(keep, "runinfo/000/parsl.log")
    (text,) = harvest([("parsl", PARSL)], root, keep)
    assert text.path == "logs/000-case-1/runinfo/000/parsl.log"
    assert (private / text.path).read_text() == "ERROR in parsl.log\n"


def test_of_a_long_log_the_beginning_and_the_end_are_read(tmp_path: Path) -> None:
    log = tmp_path / "long.log"
    log.write_text("first line\n" + "x" * 79 + "\n" * 20_000 + "y" * 1_000_000 + "\nlast line\n")
    content = read_ends(log)
    assert content.startswith("first line\n")
    assert content.endswith("last line\n")
    assert "bytes are left out]" in content
    assert len(content) < module.HEAD + module.TAIL + 100


def test_a_log_of_any_size_around_the_limits_is_read_without_a_gap_or_a_repetition(tmp_path: Path) -> None:
    for size in (0, 1, module.HEAD, module.HEAD + 1, module.HEAD + module.TAIL, module.HEAD + module.TAIL + 1):
        log = tmp_path / "some.log"
        log.write_bytes(bytes(97 + number % 23 for number in range(size)))
        content = read_ends(log)
        left_out = size > module.HEAD + module.TAIL
        assert ("left out" in content) is left_out
        assert left_out or content.encode() == log.read_bytes()


def test_the_number_of_logs_is_limited(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES", 3)
    root = scratch(keep, *(f"{number}.log" for number in range(10)))
    assert len(harvest([("own", reader_of(None))], root, keep)) == 3


def test_the_size_of_all_logs_together_is_limited(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALL", 25)
    root = scratch(keep, *(f"{number}.log" for number in range(10)))  # of 15 characters each
    assert len(harvest([("own", reader_of(None))], root, keep)) == 2


def test_after_the_time_limit_no_further_log_is_read(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", -1.0)
    assert harvest([("own", reader_of(None))], scratch(keep, "a.log"), keep) == []


def test_what_cannot_be_read_is_left_out_and_the_others_are_read(keep: Keep) -> None:
    root = scratch(keep, "a.log", "z.log")
    os.mkfifo(root / "b.log")  # opening it would wait for ever
    (root / "c.log").symlink_to(root / "missing.log")
    (root / "d.log").mkdir()
    (root / "e.log").write_bytes(b"\xff\xfe ERROR not UTF-8\n")
    names = [text.name for text in harvest([("own", reader_of(None))], root, keep)]
    assert names == ["a.log", "e.log", "z.log"]


def test_a_reader_that_fails_or_never_ends_costs_nothing_but_its_own_logs(keep: Keep) -> None:
    root = scratch(keep, "a.log", "runinfo/000/parsl.log")

    def failing(folder: Path) -> object:
        yield folder / "a.log"
        raise RuntimeError("a defect")

    def endless(folder: Path) -> object:
        while True:
            yield folder / "missing.log"

    texts = harvest([("one", failing), ("two", endless), ("parsl", PARSL)], root, keep)  # type: ignore[list-item]
    assert [text.name for text in texts] == ["a.log", "parsl.log"]


def test_a_record_has_the_best_lines_of_each_log(keep: Keep) -> None:
    root = scratch(keep, "runinfo/000/parsl.log")
    log = root / "runinfo/000/parsl.log"
    log.write_text(
        "INFO begin\n" * 500 + "ERROR OSError: [Errno 28] No space left on device\n" + "DEBUG error?\n" * 500
    )
    (entry,) = described(harvest([("parsl", PARSL)], root, keep))
    assert entry.lines == ["ERROR OSError: [Errno 28] No space left on device"]
    assert (entry.component, entry.size) == ("parsl", log.stat().st_size)


def test_a_file_that_is_no_reader_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(ImportError, match="no function `logs`"):
        reader_of(tmp_path / "none.py")
