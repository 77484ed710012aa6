"""Application cases: small programs that use the components as the applications of the Exascale Computing Project do.

They are patterns of these applications and contain none of their science: see docs/applications/README.md.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sdk_tests import EVERY, Outcome, case
from sdk_tests.integration.test_psij import NO_WALLTIME
from sdk_tests.integration.test_radical import ENSEMBLE, PILOTS
from sdk_tests.integration.test_swift import WALLTIME


@case(
    payload="parsl/exalearn.py",
    component="parsl",
    schedulers=EVERY,
    walltime=180,
    params={"target": 21, "candidates": 40, "broken": 19},
)
def test_a_model_trained_on_results_steers_the_simulations_to_the_best_candidate(outcome: Outcome) -> None:
    answer, params = outcome.answer, outcome.params
    count, results = params["candidates"], [each for one in answer["rounds"] for each in one["results"]]
    simulated = [each["candidate"] for each in results]
    assert [each["value"] for each in results] == [-(abs(each - params["target"]) ** 3) for each in simulated]
    assert len(set(simulated)) == len(simulated), "a candidate was simulated twice"
    assert answer["best"] == params["target"]
    assert len(simulated) < count / 2, "the search was not steered"
    assert list(answer["failed"]) == [str(params["broken"])]
    assert "diverges" in answer["failed"][str(params["broken"])]
    first, *later = answer["rounds"]
    assert first["chosen"] == [0, count // 2, count - 1]
    known = len(first["results"])
    for each in later:  # the model was trained on every result of the rounds before
        assert each["model"]["of"] == known
        known += len(each["results"])
    workers = {(each["node"], each["pid"]) for each in results}
    assert len(workers) <= 2, "there are more workers than were started"  # one that starts late may have nothing to do
    assert answer["thinker"] not in {each["pid"] for each in results}
    assert outcome.ran_on(*{each["node"] for each in results})


def walk_from(start: int, steps: int) -> list[int]:
    """Return the walk of a simulation, which follows from its start alone."""
    positions, state = [start], start
    for _ in range(steps):
        state = (1103515245 * state + 12345) % 2**31
        positions.append(positions[-1] + state // 65536 % 21 - 10)
    return positions


def simulations_steered(outcome: Outcome) -> None:
    """Assert that each round's model was trained on its simulations and chose the starts of those of the next round."""
    answer, params = outcome.answer, outcome.params
    starts, rounds, done = list(params["starts"]), params["rounds"], "DONE"
    files, stages = dict(answer["files"]), []
    for number in range(rounds):
        states = {f"walk.{number}.{each}": "FAILED" if start < 0 else done for each, start in enumerate(starts)}
        stages += [[f"simulate{number}", done, states], [f"train{number}", done, {f"model.{number}": done}]]
        stages += [[f"choose{number}", done, {f"chosen.{number}": done}]]
        walks = [files.pop(f"walk.{number}.{each}") for each, start in enumerate(starts) if start >= 0]
        assert [each["walk"] for each in walks] == [walk_from(start, params["steps"]) for start in starts if start >= 0]
        model, chosen = files.pop(f"model.{number}"), files.pop(f"chosen.{number}")
        positions = [position for each in walks for position in each["walk"]]
        assert (model["mean"], model["of"]) == (round(sum(positions) / len(positions)), len(positions))
        mean = model["mean"]
        far = sorted({max(0, each) for each in positions}, key=lambda at: (-abs(at - mean), at))
        assert chosen["starts"] == far[: len(starts)]
        assert max(each["ended"] for each in walks) <= model["began"]
        assert model["ended"] <= chosen["began"]
        starts = chosen["starts"]
    assert answer["stages"] == stages
    assert not files, "there were further simulations"
    assert answer["state"] == done


MOLECULES: dict[str, Any] = {"starts": [100, 200, -1], "rounds": 2, "steps": 50}
"""The first simulations, of which the one with a negative start fails, and how often a model chooses the next ones."""


@case(
    payload="radical/deepdrivemd.py",
    component="radical.entk",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=420,
    fixture=ENSEMBLE,
    params=MOLECULES,
)
def test_a_model_of_the_simulations_of_an_ensemble_chooses_the_next_ones(outcome: Outcome) -> None:
    simulations_steered(outcome)


@case(
    payload="radical/deepdrivemd.py",
    component="radical.entk",
    partners=("flux",),
    schedulers=("flux",),
    where="job",
    cores=2,
    walltime=420,
    params=MOLECULES,
)
def test_inside_a_flux_job_flux_runs_the_simulations_that_a_model_chooses(outcome: Outcome) -> None:
    simulations_steered(outcome)


@case(
    payload="swift/candle.py",
    component="swift-t",
    cores=2,
    walltime=WALLTIME,
    params={"rates": ["0.01", "0.1", "1", "4"], "steps": ["5", "50"]},
)
def test_a_sweep_trains_with_every_pair_of_parameters_and_chooses_the_best(outcome: Outcome) -> None:
    answer, params = outcome.answer, outcome.params
    assert answer["exit_code"] == 0
    pairs = {
        f"run-{i}-{j}": (float(rate), int(steps))
        for i, rate in enumerate(params["rates"])
        for j, steps in enumerate(params["steps"])
    }
    runs, best = answer["runs"], answer["best"]
    assert {name: (run["rate"], run["steps"]) for name, run in runs.items()} == pairs
    assert len({run["pid"] for run in runs.values()}) == len(pairs), "two trainings were one process"
    assert best["of"] == len(pairs)
    diverged = [name for name, run in runs.items() if run["loss"] >= 1e6]
    assert best["diverged"] == len(diverged) > 0, "with so high a rate no training diverged"
    assert (best["rate"], best["steps"]) == min((run["loss"], run["rate"], run["steps"]) for run in runs.values())[1:]
    assert max(run["ended"] for run in runs.values()) <= best["began"]


@case(
    payload="psij/exaam.py",
    component="psij",
    schedulers=EVERY,
    where="login",
    jobs=2,
    walltime=180,
    params={"pools": 2, "broken": "microstructure-1"},
    broken_on=NO_WALLTIME,
)
def test_each_stage_reads_the_files_of_the_one_before_and_a_failed_job_is_repeated(outcome: Outcome) -> None:
    answer, params = outcome.answer, outcome.params
    melted = [f"meltpool-{number}" for number in range(params["pools"])]
    grown = [f"microstructure-{number}" for number in range(params["pools"])]
    results, jobs = answer["results"], answer["attempts"]
    read: dict[str, list[str]] = {name: [] for name in melted} | dict(
        zip(grown, ([name] for name in melted), strict=True)
    )
    read["properties"] = grown
    assert {name: result["inputs"] for name, result in results.items()} == read
    for name, inputs in read.items():
        text = "".join([name, *(results[each]["digest"] for each in inputs)])
        assert results[name]["digest"] == hashlib.sha256(text.encode()).hexdigest()
        assert all(results[each]["ended"] <= results[name]["began"] for each in inputs)
    completed = None if outcome.scheduler == "flux" else 0  # psij 0.9.11's executor for Flux reports no exit code of 0
    for name, attempts in jobs.items():
        *failed, (native_id, *end) = attempts
        assert [each[1:] for each in failed] == [["FAILED", 3]] * (name == params["broken"])
        assert end == ["COMPLETED", completed]
        if outcome.scheduler != "local":
            assert results[name]["job_id"] == native_id
    assert set(jobs) == set(read)
    assert len({each[0] for attempts in jobs.values() for each in attempts}) == len(read) + 1
    assert outcome.ran_on(*{result["node"] for result in results.values()})
