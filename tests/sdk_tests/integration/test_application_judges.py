"""The application cases: their programs, run here, satisfy the judges, and changed answers do not."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sdk_tests
from sdk_tests import Case, Outcome
from sdk_tests.integration import test_applications as applications

Judge = Callable[[Outcome], None]
Answer = dict[str, Any]
Change = Callable[[Answer], None]

PAYLOADS = Path(sdk_tests.__file__).parent / "payloads"


def program(path: str, *arguments: Any, check: bool = True) -> str:
    argv = [sys.executable, "-I", str(PAYLOADS / path), *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


def at(*path: Any, value: Any) -> Change:
    """Return a function that sets the value at ``path`` in an answer."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        assert place[path[-1]] != value
        place[path[-1]] = value

    return change


def without(*path: Any) -> Change:
    """Return a function that removes the value at ``path`` from an answer."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def outcome(judge: Judge, answer: Answer, number: int = 0, scheduler: str = "slurm") -> Outcome:
    case: Case = judge.exaworks_cases[number]  # type: ignore[attr-defined]
    given = copy.deepcopy(answer)
    return Outcome(case, case.case_id(scheduler), scheduler, given, 0, nodes=("n1", "n2"), params=dict(case.params))


def accepts_only(judge: Judge, answer: Answer, changes: list[Change]) -> None:
    judge(outcome(judge, answer))
    for number, change in enumerate(changes):
        given = outcome(judge, answer)
        change(given.answer)
        try:
            judge(given)
        except (AssertionError, KeyError, ValueError):
            continue
        pytest.fail(f"the judge accepted change {number}")


def test_exalearn() -> None:
    judge = applications.test_a_model_trained_on_results_steers_the_simulations_to_the_best_candidate
    rounds = [([0, 20, 39], [0, 20, 39], None), ([22, 21], [22, 21], 3), ([19, 23], [23], 5)]
    answer: Answer = {"rounds": [], "failed": {"19": "ArithmeticError('the simulation of 19 diverges')"}}
    for chosen, simulated, of in rounds:
        results = [
            {"candidate": each, "value": -(abs(each - 21) ** 3), "pid": 50 + each % 2, "node": "n1"}
            for each in simulated
        ]
        answer["rounds"].append({"chosen": chosen, "model": of and {"of": of}, "results": results})
    answer |= {"best": 21, "thinker": 9}
    changes = [
        at("best", value=20),
        at("failed", value={}),
        at("failed", "19", value="ValueError('something else')"),
        at("rounds", 0, "chosen", value=[0, 1, 2]),
        at("rounds", 1, "model", "of", value=2),
        at("rounds", 2, "results", 0, "candidate", value=22),
        at("rounds", 0, "results", 0, "value", value=0),
        at("rounds", 0, "results", 0, "pid", value=9),
        at("rounds", 0, "results", 0, "pid", value=77),
        at("rounds", 0, "results", 0, "node", value="login"),
    ]
    accepts_only(judge, answer, changes)
    everywhere = replace(judge.exaworks_cases[0], params={**judge.exaworks_cases[0].params, "candidates": 10})  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="not steered"):
        judge(replace(outcome(judge, answer), case=everywhere, params=dict(everywhere.params)))


def test_deepdrivemd(tmp_path: Path) -> None:
    judge = applications.test_a_model_of_the_simulations_of_an_ensemble_chooses_the_next_ones
    params = judge.exaworks_cases[0].params  # type: ignore[attr-defined]
    starts, stages = params["starts"], []
    for number in range(params["rounds"]):
        walks = [tmp_path / f"walk.{number}.{each}.json" for each in range(len(starts))]
        for walk, start in zip(walks, starts, strict=True):
            program("radical/_molecule.py", "simulate", walk, start, params["steps"], check=start >= 0)
        present = [walk for walk in walks if walk.exists()]
        model, chosen = tmp_path / f"model.{number}.json", tmp_path / f"chosen.{number}.json"
        program("radical/_molecule.py", "train", model, *present)
        program("radical/_molecule.py", "choose", chosen, len(starts), model, *present)
        # in any order, because EnTK keeps the tasks of a stage as a set
        states = {walk.stem: "DONE" if walk.exists() else "FAILED" for walk in reversed(walks)}
        stages += [[f"simulate{number}", "DONE", states], [f"train{number}", "DONE", {model.stem: "DONE"}]]
        stages += [[f"choose{number}", "DONE", {chosen.stem: "DONE"}]]
        starts = json.loads(chosen.read_text())["starts"]
    files = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    changes = [
        at("state", value="FAILED"),
        at("stages", 0, 2, "walk.0.2", value="DONE"),
        without("stages", 5),
        at("files", "walk.1.0", "walk", 7, value=-1),
        at("files", "model.0", "of", value=1),
        at("files", "model.1", "mean", value=-1),
        at("files", "chosen.0", "starts", value=[1, 2, 3]),
        at("files", "walk.0.0", "ended", value=9e9),
        at("files", "model.0", "ended", value=9e9),
        at("files", value={**files, "walk.2.0": {}}),
    ]
    accepts_only(judge, {"state": "DONE", "stages": stages, "files": files}, changes)
    inside = applications.test_inside_a_flux_job_flux_runs_the_simulations_that_a_model_chooses
    inside(outcome(inside, {"state": "DONE", "stages": stages, "files": files}, scheduler="flux"))


def test_candle(tmp_path: Path) -> None:
    judge = applications.test_a_sweep_trains_with_every_pair_of_parameters_and_chooses_the_best
    params = judge.exaworks_cases[0].params  # type: ignore[attr-defined]
    for i, rate in enumerate(params["rates"]):
        for j, steps in enumerate(params["steps"]):
            (tmp_path / f"run-{i}-{j}.json").write_text(program("swift/_candle.py", "train", rate, steps))
    paths = sorted(tmp_path.glob("*.json"))
    best = json.loads(program("swift/_candle.py", "best", *paths))
    runs = {path.stem: json.loads(path.read_text()) for path in paths}
    changes = [
        at("exit_code", value=1),
        without("runs", "run-0-0"),
        at("runs", "run-0-0", "rate", value=7),
        at("runs", "run-0-0", "pid", value=runs["run-0-1"]["pid"]),
        at("runs", "run-0-0", "ended", value=9e9),
        at("runs", "run-0-0", "loss", value=-1),
        at("best", "of", value=7),
        at("best", "diverged", value=0),
        at("best", "steps", value=5),
    ]
    accepts_only(judge, {"exit_code": 0, "runs": runs, "best": best}, changes)


def test_exaam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = applications.test_each_stage_reads_the_files_of_the_one_before_and_a_failed_job_is_repeated
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    jobs = {f"{kind}-{number}": [] for kind in ("meltpool", "microstructure") for number in (0, 1)} | {"properties": []}
    inputs = {f"microstructure-{number}": [f"meltpool-{number}"] for number in (0, 1)}
    inputs["properties"] = ["microstructure-0", "microstructure-1"]
    attempts: Answer = {}
    for number, name in enumerate(jobs):
        monkeypatch.setenv("SLURM_JOB_ID", f"1{number}")
        arguments = [tmp_path / f"{name}.json", name]
        arguments += ["--break", tmp_path / "broken"] if name == "microstructure-1" else []
        arguments += [tmp_path / f"{each}.json" for each in inputs.get(name, [])]
        attempts[name] = [[f"1{number}", "COMPLETED", 0]]
        if name == "microstructure-1":
            program("psij/_exaam.py", *arguments, check=False)
            assert not (tmp_path / f"{name}.json").exists()
            attempts[name].insert(0, ["99", "FAILED", 3])
        program("psij/_exaam.py", *arguments)
    results = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    changes = [
        without("results", "meltpool-0"),
        at("results", "microstructure-0", "inputs", value=["meltpool-1"]),
        at("results", "properties", "digest", value="0"),
        at("results", "meltpool-0", "ended", value=9e9),
        at("results", "meltpool-0", "job_id", value=None),
        at("results", "meltpool-0", "node", value="login"),
        at("attempts", "microstructure-1", 0, value=["99", "COMPLETED", 0]),
        without("attempts", "microstructure-1", 0),
        at("attempts", "microstructure-1", 0, 0, value="13"),
        at("attempts", "properties", 0, 1, value="FAILED"),
    ]
    accepts_only(judge, {"attempts": attempts, "results": results}, changes)


def test_every_judge_of_an_application_is_tested() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    judges = [name for name, value in vars(applications).items() if hasattr(value, "exaworks_cases")]
    assert judges
    assert [name for name in judges if f"applications.{name}" not in source] == []
