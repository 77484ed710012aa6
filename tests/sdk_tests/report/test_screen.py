"""The end of a run fits one screen: verdict, what works, what does not, what was not tested, and what to do next."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dashboard_client.schema import Cause, CauseClass, Manifest, Phase, Record
from sdk_tests.plan.components import components
from sdk_tests.report.not_tested import LONGEST, NotTested, Undone, missing_components, not_tested, rows
from sdk_tests.report.screen import screen, short_verdict
from tests.sdk_tests.report.examples import HOSTILE, RUN, effective, everything, manifest, passing, record


def skipped(rule: str, evidence: str, *case_ids: str) -> list[Record]:
    cause = Cause(phase=Phase.PLAN, cls=CauseClass.SITE, rule=rule, evidence=evidence)
    return [record(case_id, "skip", cause=cause) for case_id in case_ids]


def shown(whole: Manifest, records: list[Record], folder: Path = Path("/runs/x")) -> str:
    return screen(whole, effective(records), folder, colour=False, dashboard=True)


def bare() -> list[Record]:
    """Return the records of a run on a machine with nothing but pip's components."""
    slurm = skipped("scheduler-absent", "slurmctld: not on PATH; install slurm-wlm", "psij/a@slurm", "parsl/a@slurm")
    flux = skipped("scheduler-absent", "flux: not on PATH; load or install flux-core", "psij/a@flux")
    flux += skipped("not-deployed", "no `flux` on PATH of deployment release", "flux/a@local", "parsl+flux/a@local")
    swift = skipped("not-deployed", "no `swift-t` on PATH of deployment release", "swift-t/a@local")
    reason = "no MPI launcher (mpiexec, mpirun) on PATH of deployment release: install mpich or openmpi"
    mpi = skipped("need-absent", reason, "radical.pilot/mpi@local")
    other = "no mpiexec on PATH of deployment release: install mpich or openmpi"
    mpi += skipped("need-absent", other, "radical.pilot/ring@local")
    return [record("control/hello@local"), record("psij/a@local"), *slurm, *flux, *swift, *mpi]


def test_a_scheduler_or_component_that_is_nowhere_is_one_line_and_has_no_row_or_column() -> None:
    records = bare()
    text = shown(manifest([each.case_id for each in records], records), records)
    verdict, table, untested, places = text.split("\n\n")
    assert verdict == "Passed: 2 cases passed and none failed"
    assert [line.split() for line in table.splitlines()] == [
        ["component", "local"],
        ["-----------", "-------"],
        ["control", "1", "pass"],
        ["psij", "1", "pass"],
    ]
    assert untested.splitlines() == [
        "Not tested (8 of 10 cases):",
        "  Flux            3 cases  no `flux` on PATH (`exaworks install` builds it)",
        "  Slurm           2 cases  install slurm-wlm",
        "  MPI launcher    2 cases  install mpich or openmpi",
        "  Swift/T          1 case  no `swift-t` on PATH (`exaworks install` builds it)",
    ]
    assert places.splitlines() == [
        "counts:    2 pass, 8 skip   exit code 0",
        "results:   /runs/x",
        "dashboard: exaworks collector serve",
    ]


def test_a_cell_that_ran_in_part_shows_its_skips_too() -> None:
    records = [record("psij/a@local"), *skipped("need-absent", "no java on PATH: install a JRE", "psij/b@local")]
    assert "1 pass 1 skip" in shown(manifest([each.case_id for each in records], records), records)


@pytest.mark.parametrize("number", [1, 3, 8, 40])
def test_the_end_fits_one_screen_however_many_causes_there_are(number: int) -> None:
    causes = [
        Cause(phase=Phase.RUN, cls=CauseClass.SITE, rule=f"rule-{n}", evidence=f"because {n}") for n in range(number)
    ]
    records = [record(f"psij/{n}@local", "fail", cause=cause) for n, cause in enumerate(causes)]
    records += [each for n in range(number) for each in skipped(f"rule-{n}", f"no part {n}", f"parsl/{n}@local")]
    text = shown(manifest([each.case_id for each in records], records), records)
    assert len(text.splitlines()) <= 50
    assert f"next:      exaworks explain {RUN}" in text
    if number == 40:
        assert "and 32 more causes, see report.html" in text
        assert "32 further reasons: 32 cases" in text


def test_every_failure_names_its_fault_and_the_first_ones_what_to_do() -> None:
    whole, records = everything()
    text = shown(whole, records)
    assert text.startswith("Failed: of 25 cases, 3 failed, 1 reached no verdict")
    for case_id in ("parsl/htex:blocks=2@slurm", "radical.entk/ensemble@local", "radical.pilot/pilot@slurm"):
        (line,) = [line for line in text.splitlines() if case_id in line and "at fault: " in line]
        assert line.startswith(("FAIL", "ERROR", "INFRA"))
    assert "exaworks rerun" in text


@pytest.mark.parametrize(
    ("outcome", "state", "code", "command"),
    [
        ("pass", "complete", 0, None),
        ("fail", "complete", 1, f"exaworks explain {RUN}"),
        ("infra", "complete", 3, f"exaworks explain {RUN}"),
        ("pass", "interrupted", 130, f"exaworks validate --resume {RUN}"),
        ("skip", "complete", 1, "exaworks doctor"),
    ],
)
def test_a_run_that_is_red_or_stopped_names_the_next_command_once(
    outcome: str, state: str, code: int, command: str | None
) -> None:
    records = [record("psij/a@slurm", outcome)]
    whole = manifest(["psij/a@slurm"], records)
    assert whole.closed is not None
    closed = msgspec.structs.replace(whole.closed, state=state, exit_code=code)
    whole = msgspec.structs.replace(whole, closed=closed)
    text = shown(whole, records)
    assert [line for line in text.splitlines() if line.startswith("next:")] == (
        [f"next:      {command}"] if command else []
    )
    assert command is None or text.count(command) == 1
    quiet = short_verdict(whole, effective(records), colour=False)
    assert [line for line in quiet.splitlines() if line.startswith("next:")] == (
        [f"next: {command}"] if command else []
    )
    assert len(quiet.splitlines()) <= 3


def test_the_cases_of_a_stopped_run_that_had_not_ended_are_counted_on_one_line() -> None:
    cause = Cause(phase=Phase.RUN, cls=CauseClass.HARNESS, rule="interrupted", evidence="the run was stopped")
    records = [record(f"psij/{number}@local", "error", cause=cause, final=False) for number in range(20)]
    records.append(record("parsl/a@local", "fail"))
    whole = manifest([each.case_id for each in records], records)
    assert whole.closed is not None
    closed = msgspec.structs.replace(whole.closed, state="interrupted", exit_code=130)
    text = shown(msgspec.structs.replace(whole, closed=closed), records)
    assert "20 cases had not ended when the run was stopped" in text
    assert "FAIL  parsl/a@local" in text
    assert "psij/0@local" not in text


def test_without_a_report_none_is_named(tmp_path: Path) -> None:
    whole, records = passing()
    assert "report:" not in shown(whole, records, tmp_path)
    (tmp_path / "report.html").touch()
    assert f"report:    {tmp_path}/report.html" in shown(whole, records, tmp_path)


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ([("flux",)], ["flux"]),
        ([("flux",), ("parsl", "flux"), ("radical.pilot", "flux")], ["flux"]),
        ([("parsl", "flux"), ("psij", "flux")], ["flux"]),
        ([("radical.pilot",), ("radical.entk",)], ["radical.entk", "radical.pilot"]),
        ([("radical.pilot",), ("radical.entk",), ("psij", "radical.pilot")], ["radical.pilot", "radical.entk"]),
        ([("swift-t", "psij")], ["psij"]),
    ],
)
def test_the_component_that_is_missing_is_the_one_that_explains_all_cases(
    components: list[tuple[str, ...]], expected: list[str]
) -> None:
    cause = Cause(phase=Phase.PLAN, cls=CauseClass.DISTRIBUTION, rule="not-deployed", evidence="none")
    assert missing_components([Undone(names, "local", cause) for names in components]) == expected


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        ("a, b: not on PATH or in /usr/sbin, /sbin; install slurm-wlm and munge", "install slurm-wlm and munge"),
        ("no `x` on PATH of deployment release 2026.11", "no `x` on PATH"),
        (
            "left out of deployment release 2026.11: no C compiler (gcc), which netifaces needs: install gcc",
            "left out: no C compiler (gcc), which netifaces needs: install gcc",
        ),
        ("no distribution 'x' for /a b/bin/python of deployment release 2026.11", "no distribution 'x'"),
        ("something else", "something else"),
    ],
)
def test_a_reason_is_short_and_says_what_to_install(evidence: str, shown: str) -> None:
    cause = Cause(phase=Phase.PLAN, cls=CauseClass.DISTRIBUTION, rule="not-deployed", evidence=evidence)
    (entry,) = not_tested([Undone(("thing",), "local", cause)])
    assert entry.reason == shown


def not_deployed(distribution: str) -> Cause:
    evidence = f"no distribution {distribution!r} for /env/bin/python of deployment release 2026.11"
    return Cause(phase=Phase.PLAN, cls=CauseClass.DISTRIBUTION, rule="not-deployed", evidence=evidence)


def test_components_that_no_release_contains_share_one_line() -> None:
    missing = [("dask", "dask-jobqueue"), ("colmena", "colmena"), ("libensemble", "libensemble")]
    without_run = [Undone((name,), "local", not_deployed(package)) for name, package in missing]
    without_run.append(Undone(("dask", "psij"), "local", not_deployed("dask-jobqueue")))
    without_run.append(Undone(("parsl",), "local", not_deployed("parsl")))
    extras, parsl = not_tested(without_run)
    assert extras == NotTested(
        "extra components", "Colmena, Dask, libEnsemble: docs/extending.md says how to add them", 4
    )
    assert parsl.title == "Parsl"


def test_one_component_that_no_release_contains_names_the_command_that_adds_it() -> None:
    (entry,) = not_tested([Undone(("dask",), "local", not_deployed("dask-jobqueue"))])
    assert entry.title == "Dask"
    assert entry.reason.endswith("(`pip install dask-jobqueue` adds it)")


def test_the_line_of_all_extra_components_fits_the_screen() -> None:
    kinds = [kind for kind in components().values() if kind.extra]
    (entry,) = not_tested([Undone((kind.name,), "local", not_deployed(str(kind.distribution))) for kind in kinds])
    assert len(entry.reason) <= LONGEST


def test_each_case_counts_once_and_the_largest_reason_comes_first() -> None:
    cause = Cause(phase=Phase.PLAN, cls=CauseClass.SITE, rule="too-few-nodes", evidence="needs 4 nodes")
    other = Cause(phase=Phase.PLAN, cls=CauseClass.SITE, rule="scheduler-absent", evidence="flux is started inside x")
    entries = not_tested(
        [Undone(("parsl",), "slurm", cause), *(Undone(("parsl",), "slurm+flux", other) for _ in range(3))]
    )
    assert entries == [
        NotTested("Flux in Slurm", "flux is started inside x (`exaworks install` builds it)", 3),
        NotTested("too few nodes", "needs 4 nodes", 1),
    ]
    assert list(rows([])) == []


def test_hostile_strings_cannot_control_the_terminal() -> None:
    cause = Cause(phase=Phase.PLAN, cls=CauseClass.UNKNOWN, rule=HOSTILE, evidence=HOSTILE)
    records = [record("psij/a@slurm", "fail", cause=cause), record("psij/b@slurm", "skip", cause=cause)]
    text = shown(manifest([each.case_id for each in records], records), records)
    assert not set(text) & {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\n", "\t"}
    text.encode("utf-8")
