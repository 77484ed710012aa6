"""Which jobs the generated pipelines have, by the rules in the files, and which runner gets each of them.

The recorded GitLab's own reading of ``rules:`` is tested first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from site_configs.load import find
from tests.ci.runner.expressions import holds
from tests.ci.runner.pipeline import Pipeline, seconds
from tests.ci.runner.site import ROOT, tags_of
from tests.ci.runner.test_life import SYSTEMS

ROOT_FILE = (ROOT / ".gitlab-ci.yml").read_text()
FILES = sorted((ROOT / "ci" / "pipelines").glob("*/*.yml"))
FORK = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "8", "CI_MERGE_REQUEST_PROJECT_ID": "7"}
OWN = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "7", "CI_MERGE_REQUEST_PROJECT_ID": "7"}
SCHEDULE = {"CI_PIPELINE_SOURCE": "schedule"}


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("$A", True),
        ("$EMPTY", False),
        ("$NONE", False),
        ('$A == "a"', True),
        ("$NONE == null", True),
        ("$NONE != $A", True),
        ("$NONE != $MISSING", False),
        ('$A != "a" || $B == "b"', True),
        ('$A == "a" && $B == "x"', False),
        ('$B == "x" && $A == "x" || $A == "a"', True),
        ('$A == "a" && ($B == "x" || $B == "b")', True),
        (r"$SITES =~ /(^|,)anl\/polaris(,|$)/", True),
        (r"$SITES =~ /(^|,)anl\/pol(,|$)/", False),
        ("$A =~ /^A$/i", True),
        ("$A !~ /b/", True),
    ],
)
def test_a_condition_means_what_gitlab_documents(condition: str, expected: bool) -> None:
    variables = {"A": "a", "B": "b", "EMPTY": "", "SITES": "llnl/dane,anl/polaris"}
    assert holds(condition, variables) is expected


@pytest.mark.parametrize("condition", ["$A ==", "$A == 'a' extra", "($A", '$A =~ "a"', "$A & $B"])
def test_a_condition_that_gitlab_refuses_is_refused(condition: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        holds(condition, {"A": "a"})


def jobs(text: str, **variables: str) -> set[str]:
    pipeline = Pipeline(text, variables, first_id=1)
    return set(pipeline.jobs) if pipeline.created else set()


def children(**variables: str) -> set[str]:
    """Return the systems whose pipelines the root pipeline starts."""
    pipeline = Pipeline(ROOT_FILE, variables, first_id=1)
    return {name for name, job in pipeline.jobs.items() if "trigger" in job.spec}


def test_a_schedule_tests_every_system_of_this_gitlab_and_not_the_project() -> None:
    names = children(**SCHEDULE, CI_SERVER_URL="https://lc.llnl.gov/gitlab")
    assert {"llnl-dane", "llnl-tuolumne", "local-workstation"} <= names
    assert not [name for name in names if name.startswith("anl-")], "the site has another GitLab"
    assert not {"lint", "tests", "rehearsal", "pages"} & jobs(ROOT_FILE, **SCHEDULE)


@pytest.mark.parametrize("sites, expected", [("llnl/dane", {"llnl-dane"}), ("all", None), ("llnl/dan", set())])
def test_sites_chooses_systems(sites: str, expected: set[str] | None) -> None:
    chosen = children(SITES=sites, CI_SERVER_URL="https://lc.llnl.gov/gitlab", CI_PIPELINE_SOURCE="web")
    scheduled = children(**SCHEDULE, CI_SERVER_URL="https://lc.llnl.gov/gitlab")
    assert chosen == (scheduled if expected is None else expected)


def test_the_variable_for_pods_chooses_one_of_two_forms() -> None:
    given = {
        "SITES": "ornl/frontier",
        "CI_PIPELINE_SOURCE": "web",
        "CI_SERVER_URL": find("ornl/frontier").ci.server or "",
    }
    assert children(**given) == {"ornl-frontier"}
    assert children(**given, EXAWORKS_PODS="slate") == {"ornl-frontier-slate"}


def test_a_push_checks_the_project_and_no_system() -> None:
    push = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main"}
    assert {"lint", "tests", "rehearsal", "generate", "pages"} <= jobs(ROOT_FILE, **push)
    assert children(**push) == set()


def test_a_merge_request_runs_the_smoke_tier_of_the_systems_that_it_changes() -> None:
    given = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_SERVER_URL": "https://lc.llnl.gov/gitlab", **OWN}
    assert children(**given) == set(), "it changes none of their files"
    changed = Pipeline(ROOT_FILE, {**given, "CHANGED": "1"}, first_id=1)
    job = changed.jobs["llnl-dane"]
    assert (job.variables["EXAWORKS_TIER"], "junit" in changed.jobs) == ("smoke", True)


def test_a_merge_request_of_a_fork_starts_no_system_and_a_system_starts_no_job_for_it() -> None:
    given = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_SERVER_URL": "https://lc.llnl.gov/gitlab", **FORK}
    assert children(**given, CHANGED="1") == set()
    for path in FILES:
        assert jobs(path.read_text(), **FORK) == set(), path
        assert jobs(path.read_text(), **OWN), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_tier_chooses_the_stages_and_scale_runs_on_a_schedule_only(path: Path) -> None:
    text = path.read_text()
    tests = {"smoke", "integration", "scale"}
    assert jobs(text, EXAWORKS_TIER="smoke") & tests == {"smoke"}
    assert jobs(text) & tests == {"smoke", "integration"}, "integration is the default"
    assert jobs(text, EXAWORKS_TIER="scale") & tests == {"smoke", "integration"}
    assert jobs(text, EXAWORKS_TIER="scale", EXAWORKS_TRIGGER="schedule") & tests == tests
    assert jobs(text, EXAWORKS_TIER="scale", **SCHEDULE) & tests == tests


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_script_ends_ten_minutes_before_its_job_and_after_script_within_them(path: Path) -> None:
    pipeline = Pipeline(path.read_text(), {"EXAWORKS_TRIGGER": "schedule", "EXAWORKS_TIER": "scale"}, first_id=1)
    for job in pipeline.jobs.values():
        if "trigger" in job.spec:
            continue
        script, after = (seconds(job.variables[f"RUNNER_{name}TIMEOUT"]) for name in ("SCRIPT_", "AFTER_SCRIPT_"))
        assert job.timeout - script == 600, job.name
        assert after <= 300


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_sites_runners_can_take_every_job_and_a_batch_job_goes_to_the_batch_runner(name: str) -> None:
    system, path = find(name), ROOT / "ci" / "pipelines" / f"{name}.yml"
    pipeline = Pipeline(path.read_text(), {"EXAWORKS_GITLAB_TOKEN": "x", "EXAWORKS_LANES": "all"}, first_id=1)
    runner = system.runner
    shell = frozenset(tags_of(system, [*runner.tags, *runner.shell_tags]))
    batch = frozenset(tags_of(system, [*runner.tags, *runner.batch_tags]))
    for job in pipeline.jobs.values():
        assert job.tags in (shell, batch), (job.name, job.tags)
        tests = job.name.rpartition("-")[2] in ("smoke", "integration", "scale")
        inside = runner.executor == "batch" and tests
        assert job.tags == (batch if inside else shell), job.name
        variable = system.ci.scheduler_parameters
        if variable and runner.shell_tags:
            assert (variable in job.spec.get("variables", {})) is inside, job.name
