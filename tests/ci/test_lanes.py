"""One pipeline tests several ways of deployment side by side, each as a run of its own."""

from __future__ import annotations

import json
import re
import venv
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ci.cron import cron_script
from ci.errors import SiteValueError
from ci.limits import jobs_of_lane
from ci.phases import phases, planned
from ci.pods import pods_yaml
from ci.render import as_markdown, as_text
from ci.stage import chosen, chosen_lanes, collect
from ci.system import system_yaml
from ci.verdict import Result, judge
from exaworks_sdk.paths import Places
from sdk_tests.plan.target import labels
from sdk_tests.plan.targets import _of_site
from site_configs.errors import SiteFileError
from site_configs.lanes import lanes
from site_configs.load import load_text
from site_configs.schema import System
from tests.ci.gitlab_schema import invalid
from tests.ci.pipeline import BOX, Project
from tests.ci.test_generate import JACAMAR, jobs_of
from tests.ci.test_unattended import HUT

EVERY = ["pip", "conda", "spack", "module:exaworks/2026.11", "image:/images/exaworks.sif"]
SETS = [["pip"], ["conda", "pip"], ["spack"], ["module:a", "module:b"], ["image:x.sif", "spack", "venv:/opt/a"], EVERY]


def system_with(texts: list[str], site: str = JACAMAR) -> System:
    listed = json.dumps(texts)
    return load_text(site.replace("KIND", "slurm").replace("ci:\n", f"ci:\n  lanes: {listed}\n"), "test")


def tree_of(text: str) -> dict[str, Any]:
    tree: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return tree


@pytest.mark.parametrize("texts", SETS, ids=lambda texts: "+".join(texts))
@pytest.mark.parametrize(
    "site", [JACAMAR, HUT, JACAMAR.replace(", shell_tags: [login]", "")], ids=["runner", "pods", "batch"]
)
def test_any_set_of_lanes_gives_a_pipeline_whose_needs_exist_and_come_earlier(texts: list[str], site: str) -> None:
    system = system_with(texts, site)
    text = pods_yaml(system) if system.ci.pods else system_yaml(system)
    assert invalid(text) == []
    tree, jobs = tree_of(text), jobs_of(text)
    place = {name: tree["stages"].index(job["stage"]) for name, job in jobs.items()}
    for name, job in jobs.items():
        for need in job.get("needs", []):
            assert place[need["job"]] < place[name] or job["stage"] == "report", (name, need)
    for lane in lanes(texts):
        own = {name: job for name, job in jobs.items() if f"--lane {lane.name} " in str(job["script"])}
        tests = [job for job in own.values() if " -- validate " in job["script"][0]]
        assert [job["stage"] for job in tests] == ["smoke", "integration", "scale"]
        assert all(f"--deployment {lane.deployment}" in job["script"][0] for job in tests)
        first = [job for job in own.values() if job["needs"] in ([{"job": "control"}], [{"job": "setup"}])]
        assert first, "a lane starts after what all lanes share"
    assert sum(" -- validate --component control" in str(job["script"]) for job in jobs.values()) <= 1


def test_the_first_lane_has_plain_names_and_each_lane_builds_what_it_tests() -> None:
    listed = phases(system_with(EVERY))
    made = {phase.name: (phase.stage, phase.after, " ".join(phase.argv)) for phase in listed if not phase.tests}
    assert made == {
        "setup": ("setup", None, "sites show test/batch"),
        "install": ("install", "control", "release install"),
        "conda-install": ("install", "control", "release conda --install"),
        "spack-clone": ("clone", "control", "install --until packages"),
        "spack-concretize": ("concretize", "spack-clone", "install --until concretize"),
        "spack-install": ("install", "spack-concretize", "install"),
    }
    after = {phase.name: phase.after for phase in listed if phase.stage == "smoke"}
    assert after == {
        "smoke": "install",
        "conda-smoke": "conda-install",
        "spack-smoke": "spack-install",
        "module-smoke": "control",
        "image-smoke": "control",
    }
    control = next(phase for phase in listed if phase.name == "control")
    assert control.argv[-2:] == ("--deployment", "path"), "nothing is built before the site is known to work"


@pytest.mark.parametrize("value", ["pip", "conda,spack", "all", "spack"])
def test_the_variable_of_a_pipeline_chooses_the_lanes(value: str) -> None:
    system = system_with(["pip", "conda", "spack"])
    jobs = jobs_of(system_yaml(system))
    wanted = {"pip", "conda", "spack"} if value == "all" else set(value.split(","))
    for phase in phases(system):
        if phase.lane is None:
            continue
        rule = jobs[phase.name]["rules"][0]
        pattern = re.fullmatch(r"\$EXAWORKS_LANES !~ /(.*)/", rule["if"])
        assert pattern is not None
        assert rule["when"] == "never"
        assert (re.search(pattern[1], value) is not None) == (phase.lane in wanted), phase.name
        assert chosen(phase.lane, {"EXAWORKS_LANES": value}) == (phase.lane in wanted)
    expected = planned(system, "smoke", scheduled=False, chosen=chosen_lanes({"EXAWORKS_LANES": value}))
    assert {phase.lane for phase in expected if phase.lane} == wanted
    assert tree_of(system_yaml(system))["variables"]["EXAWORKS_LANES"]["value"] == "pip"


def test_a_deployment_that_is_named_replaces_the_lanes() -> None:
    system = system_with(["pip", "conda", "spack"])
    jobs = jobs_of(system_yaml(system, "module:exaworks"))
    assert not any("conda" in name or "--lane" in str(job["script"]) for name, job in jobs.items())
    assert jobs["verdict"]["script"] == ['"$EXAWORKS" ci verdict --site test/batch --deployment module:exaworks']


def test_a_lane_that_the_site_file_lacks_is_an_error_and_no_pass() -> None:
    with pytest.raises(SiteValueError, match="'conda' is not a lane of test/batch; its lanes: pip, spack"):
        planned(system_with(["pip", "spack"]), "smoke", scheduled=False, chosen=["pip", "conda"])


@pytest.mark.parametrize(
    ("limits", "together", "each"),
    [("max_jobs: 1", False, None), ("max_jobs: 2", False, None), ("max_jobs: 3", True, 1), ("max_jobs: 7", True, 2)],
)
def test_lanes_are_tested_at_once_only_where_the_site_admits_a_job_of_each(
    limits: str, together: bool, each: int | None
) -> None:
    site = JACAMAR.replace("account_env: TEST_ACCOUNT", f"account_env: TEST_ACCOUNT\n    {limits}")
    system = system_with(["pip", "conda", "spack"], site)
    assert jobs_of_lane(system) == each
    jobs = jobs_of(system_yaml(system))
    tests = {jobs[name]["resource_group"] for name in ("smoke", "conda-smoke", "spack-smoke")}
    builds = {jobs[name]["resource_group"] for name in ("install", "conda-install", "spack-install")}
    assert len(tests) == (3 if together else 1)
    assert len(builds) == 3, "what builds needs no job of the scheduler"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["pip", "pip"], "named twice"),
        (["pipi"], "not a kind of lane"),
        (["module"], "write module:NAME"),
        (["image:"], "write image:NAME"),
        (["conda:mine"], "write conda alone"),
        (["venv:$HOME/x"], "must not contain a variable"),
    ],
)
def test_lanes_that_cannot_work_are_refused(texts: list[str], message: str) -> None:
    with pytest.raises(SiteFileError, match=message):
        system_with(texts)


def test_a_lane_tested_alone_has_the_labels_of_all_lanes_together() -> None:
    system = system_with(["pip", "conda", "spack", "module:exaworks/2026.11"])
    found = [labels([lane.deployment], _of_site(system))[0] for lane in lanes(system.ci.lanes)]
    assert found == ["", "conda", "spack", "module"]


def test_a_cron_script_runs_the_first_lane_unless_another_is_chosen() -> None:
    text = cron_script(system_with(["pip", "conda"]), Path("/sdk"), tier="smoke")
    assert "export EXAWORKS_LANES=${EXAWORKS_LANES:-pip}\n" in text
    assert "stage conda-smoke --lane conda --after conda-install -- validate" in text


def run_folder(runs: Path, name: str, deployment: str, outcomes: dict[str, str]) -> None:
    folder = runs / name
    (folder / "private").mkdir(parents=True)
    (folder / "private" / "options.json").write_text(json.dumps({"deployments": [deployment]}))
    counts = {outcome: list(outcomes.values()).count(outcome) for outcome in outcomes.values()}
    code = int(any(outcome not in ("pass", "skip") for outcome in outcomes.values()))
    closed = {"exit_code": code, "state": "complete", "counts": counts, "missing": 0, "sequence": 1}
    planned_cases = [{"case_id": case, "component": case.partition("/")[0], "scheduler": "slurm"} for case in outcomes]
    manifest = {"run_id": name, "site": "test", "system": "batch", "planned": planned_cases, "closed": closed}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    records = [
        {"case_id": case, "retries": {"attempt": 1}, "verdict": {"outcome": outcome}}
        for case, outcome in outcomes.items()
    ]
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def stage_file(folder: Path, name: str, tests: bool, command: list[str], before: list[str], code: int = 0) -> None:
    (folder / name).mkdir(parents=True)
    stage = {
        "stage": name,
        "system": "test/batch",
        "tests": tests,
        "command": command,
        "started": "2026-11-29T00:00:00Z",
    }
    stage |= {"state": "ended", "exit_code": code, "seconds": 1.0, "before": before, "runs": []}
    (folder / name / "stage.json").write_text(json.dumps(stage))


def test_runs_of_lanes_at_the_same_time_belong_to_their_own_stage_and_are_judged_side_by_side(tmp_path: Path) -> None:
    system = system_with(["pip", "conda"])
    places, results = Places(home=tmp_path / "home", checkout=None), tmp_path / "results"
    for name in ("setup", "install", "conda-install"):
        stage_file(results, name, False, ["x"], [])
    run_folder(places.runs, "r0", "path", {"control/hello@slurm": "pass"})
    stage_file(results, "control", True, ["validate", "--deployment", "path"], [])
    collect(results / "control", places)
    run_folder(places.runs, "r1", "release", {"parsl/hello@slurm": "pass", "psij/hello@slurm": "pass"})
    bad = {"parsl/hello@slurm/in:conda": "fail", "psij/hello@slurm/in:conda": "pass"}
    run_folder(places.runs, "r2", "conda", bad)
    stage_file(results, "smoke", True, ["validate", "--deployment", "release"], ["r0"])
    stage_file(results, "conda-smoke", True, ["validate", "--deployment", "conda"], ["r0"], code=1)
    assert collect(results / "smoke", places) == ["r1"]
    assert collect(results / "conda-smoke", places) == ["r2"]

    expected = planned(system, "smoke", scheduled=False)
    verdict = judge(system.system, expected, results, "fail")
    assert verdict.result is Result.FAIL
    assert [(lane.name, lane.result, lane.pass_rate) for lane in verdict.lanes] == [
        ("pip", Result.PASS, 100.0),
        ("conda", Result.FAIL, 50.0),
    ]
    assert verdict.matrix["parsl"] == {"slurm, pip": "pass", "slurm, conda": "fail"}
    assert verdict.matrix["control"] == {"slurm": "pass"}
    assert "lane conda: fail, 1 fail, 1 pass; 50.0% of those that ran passed" in as_text(verdict)
    assert "| conda | ❌ fail | 1 fail, 1 pass; 50.0% of those that ran passed |" in as_markdown(verdict, {})
    alone = judge(system.system, planned(system, "smoke", scheduled=False, chosen=["pip"]), results, "fail")
    assert alone.result is Result.PASS, "a lane that was not chosen is not missing"


@pytest.mark.long
@pytest.mark.needs("gitlab-ci-local", "rsync")
def test_two_lanes_of_a_pipeline_are_two_runs_and_one_verdict(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        venv.create(folder, symlinks=True)
    named = [f"venv:{folder}" for folder in folders]
    site = BOX.replace("deployment: DEPLOYMENT\n", f"ci: {{lanes: {json.dumps(named)}}}\n")
    project = Project(tmp_path, site, variables={"EXAWORKS_LANES": "all"})
    project.generate()
    result = project.run()
    verdict = project.verdict()
    assert [lane["name"] for lane in verdict["lanes"]] == ["venv-a", "venv-b"], result.output
    assert len(list(project.runs.glob("*/manifest.json"))) == 3, "control, and one run for each lane"
    assert {"control", "smoke", "venv-b-smoke"} <= set(result.jobs)
    runs = {
        stage: [path.parent.name for path in (project.path / "results" / stage).glob("*/manifest.json")]
        for stage in ("smoke", "venv-b-smoke")
    }
    assert len(runs["smoke"]) == len(runs["venv-b-smoke"]) == 1
    assert runs["smoke"] != runs["venv-b-smoke"]
