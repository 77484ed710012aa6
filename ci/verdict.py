"""The verdict of a pipeline. It depends only on the files of the stages, not on the job statuses of the runner."""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ci.phases import Phase
from ci.results import Failure, Run, Stage, read_run, read_stage
from ci.stage import CONTROL


class Result(str, enum.Enum):
    """The result of a stage or a pipeline."""

    PASS = "pass"  # noqa: S105
    INFRA = "infra"
    """Only the site's infrastructure failed."""
    FAIL = "fail"
    """Something failed, did not end, or has no results."""


_ORDER = (Result.PASS, Result.INFRA, Result.FAIL)
_BY_CODE = {0: Result.PASS, 3: Result.INFRA}
_WORST = ("fail", "error", "missing", "infra", "xpass", "pass", "xfail", "skip")
"""Outcomes from worst to best; a cell of the matrix shows the worst of its outcomes."""


class Finding(msgspec.Struct, frozen=True):
    """The result of one stage, with the reason as text."""

    stage: str
    result: Result
    text: str
    seconds: float | None = None


class Explained(msgspec.Struct, frozen=True):
    """One cause of failures: its title, whose fault it is, what to do, and the cases that it explains."""

    title: str
    fault: str
    advice: str | None
    cases: list[str]


class LaneVerdict(msgspec.Struct, frozen=True):
    """The result of one lane: its worst stage, its outcomes, and the percentage of its cases that passed."""

    name: str
    result: Result
    counts: dict[str, int]
    pass_rate: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The file ``verdict.json``; ``matrix`` maps components to schedulers to the worst outcome.

    ``causes`` are those of all failures, the one that explains most cases first. A pipeline with ``lanes`` has a column
    of the matrix for each scheduler in each lane.

    ``pass_rate`` is the percentage of the cases that ran, without control cases unless there are no others.
    """

    system: str
    result: Result
    infra: str
    stages: list[Finding]
    counts: dict[str, int]
    pass_rate: float
    matrix: dict[str, dict[str, str]]
    causes: list[Explained] = []
    lanes: list[LaneVerdict] = []

    @property
    def exit_code(self) -> int:
        """0: passed, 1: failed, 3: only the infrastructure failed and the site file has ``infra: fail``."""
        if self.result is Result.INFRA:
            return 0 if self.infra == "warn" else 3
        return 0 if self.result is Result.PASS else 1


@dataclass(frozen=True)
class _Cell:
    component: str
    scheduler: str
    lane: str | None = None

    @property
    def column(self) -> str:
        return f"{self.scheduler}, {self.lane}" if self.lane else self.scheduler


def judge(system: str, expected: Iterable[Phase], results: Path, infra: str) -> Verdict:
    """Judge every expected stage; a stage without results is a failure."""
    expected = list(expected)
    findings: list[Finding] = []
    outcomes: dict[str, str] = {}
    cells: dict[str, _Cell] = {}
    failures: dict[str, Failure] = {}
    for phase in expected:
        folder = results / phase.name
        stage = read_stage(folder)
        runs = [] if stage is None else [(name, read_run(folder / name)) for name in stage.runs]
        findings.append(_finding(phase, stage, runs, findings))
        for _, run in runs:
            if run is not None:
                _add(run, phase.lane, outcomes, cells)
                failures.update(run.failures)
    counts: dict[str, int] = defaultdict(int)
    for outcome in outcomes.values():
        counts[outcome] += 1
    worst = max((finding.result for finding in findings), key=_ORDER.index, default=Result.FAIL)
    return Verdict(
        system=system,
        result=worst,
        infra=infra,
        stages=findings,
        counts=dict(counts),
        pass_rate=_pass_rate(outcomes, cells),
        matrix=_matrix(outcomes, cells),
        causes=_causes(outcomes, failures),
        lanes=_lanes(expected, findings, outcomes, cells),
    )


def _lanes(
    expected: Sequence[Phase],
    findings: Sequence[Finding],
    outcomes: Mapping[str, str],
    cells: Mapping[str, _Cell],
) -> list[LaneVerdict]:
    names = dict.fromkeys(phase.lane for phase in expected if phase.lane is not None)
    judged = []
    for name in names:
        stages = {phase.name for phase in expected if phase.lane == name}
        own = {case: outcome for case, outcome in outcomes.items() if cells[case].lane == name}
        worst = max((f.result for f in findings if f.stage in stages), key=_ORDER.index)
        counts = dict(sorted(Counter(own.values()).items()))
        judged.append(LaneVerdict(name, worst, counts, _pass_rate(own, cells)))
    return judged


def _causes(outcomes: Mapping[str, str], failures: Mapping[str, Failure]) -> list[Explained]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for case, outcome in sorted(outcomes.items()):
        if outcome in ("fail", "error", "infra") and case in failures:
            grouped[failures[case].key].append(case)
    explained = [
        Explained(failures[cases[0]].title, failures[cases[0]].fault, failures[cases[0]].advice, cases)
        for cases in grouped.values()
    ]
    return sorted(explained, key=lambda cause: -len(cause.cases))


def _finding(phase: Phase, stage: Stage | None, runs: list[tuple[str, Run | None]], earlier: list[Finding]) -> Finding:
    if stage is None:
        return Finding(phase.name, Result.FAIL, "did not run: it has no results")
    if stage.state == "withheld":
        cause = next((finding.result for finding in earlier if finding.stage == phase.after), Result.FAIL)
        result = Result.INFRA if cause is Result.INFRA else Result.FAIL
        return Finding(phase.name, result, f"not run: {stage.reason}")
    if stage.state != "ended":
        return Finding(phase.name, Result.FAIL, _unfinished(runs))
    if not phase.tests:
        text = "done" if stage.exit_code == 0 else f"exit code {stage.exit_code}"
        return Finding(phase.name, Result.PASS if stage.exit_code == 0 else Result.FAIL, text, stage.seconds)
    return _tested(phase, stage, runs)


def _tested(phase: Phase, stage: Stage, runs: list[tuple[str, Run | None]]) -> Finding:
    if not runs:
        return Finding(phase.name, Result.FAIL, f"no run: exit code {stage.exit_code}", stage.seconds)
    results, texts = [], []
    for name, run in runs:
        if run is None:
            results.append(Result.FAIL)
            texts.append(f"{name}: no manifest")
        elif run.closed is None:
            results.append(Result.FAIL)
            texts.append(f"{name}: not closed, {len(run.outcomes)} of {len(run.planned)} cases recorded")
        else:
            results.append(_BY_CODE.get(int(run.closed["exit_code"]), Result.FAIL))
            interrupted = "interrupted, " if run.closed["state"] == "interrupted" else ""
            texts.append(interrupted + _counted(run.closed["counts"], int(run.closed["missing"])))
    result = max(results, key=_ORDER.index)
    if result is Result.PASS and stage.exit_code != 0:
        result = Result.FAIL
        texts.append(f"but the command ended with exit code {stage.exit_code}")
    return Finding(phase.name, result, "; ".join(texts), stage.seconds)


def _unfinished(runs: list[tuple[str, Run | None]]) -> str:
    started = [run for _, run in runs if run is not None]
    recorded = sum(len(run.outcomes) for run in started)
    planned = sum(len(run.planned) for run in started)
    return f"did not end: {recorded} of {planned} cases recorded" if started else "did not end"


def _counted(counts: Mapping[str, int], missing: int) -> str:
    parts = [f"{number} {outcome}" for outcome, number in counts.items() if number]
    return ", ".join(parts + ([f"{missing} missing"] if missing else [])) or "nothing planned"


def _add(run: Run, lane: str | None, outcomes: dict[str, str], cells: dict[str, _Cell]) -> None:
    for planned in run.planned:
        case = str(planned["case_id"])
        cells[case] = _Cell(str(planned["component"]), str(planned["scheduler"]), lane)
        outcome = run.outcomes.get(case, "missing")
        outcomes[case] = min(outcome, outcomes.get(case, outcome), key=_WORST.index)


def _pass_rate(outcomes: Mapping[str, str], cells: Mapping[str, _Cell]) -> float:
    counted = {case: outcome for case, outcome in outcomes.items() if cells[case].component != CONTROL} or outcomes
    ran = [outcome for outcome in counted.values() if outcome not in ("skip", "xfail")]
    return 100 * sum(outcome in ("pass", "xpass") for outcome in ran) / len(ran) if ran else 0.0


def _matrix(outcomes: Mapping[str, str], cells: Mapping[str, _Cell]) -> dict[str, dict[str, str]]:
    matrix: dict[str, dict[str, str]] = {}
    for case, outcome in sorted(outcomes.items()):
        row = matrix.setdefault(cells[case].component, {})
        row[cells[case].column] = min(outcome, row.get(cells[case].column, outcome), key=_WORST.index)
    return matrix
