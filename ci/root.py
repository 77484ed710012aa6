"""The root ``.gitlab-ci.yml``: lint and tests of the project, generation, and one child pipeline for each system."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ci.gitlab import Artifacts, ChildFile, Job, Need, Pipeline, Rule, Trigger, Workflow, to_yaml
from ci.system import FORKED, RETRY, slug
from site_configs.schema import System

IMAGE = "python:3.11-bookworm"
PLAIN_IMAGE = "debian:bookworm"
"""The image of the job ``tests``; ``.ci/run`` installs the packages that it needs."""
GENERATED = "generated"
SHARED = ["ci/**/*", "exaworks", "exaworks_sdk/**/*", "sdk_tests/**/*", "dashboard_client/**/*", "pyproject.toml"]
"""Files that the pipeline of the plain machine tests: a merge request that changes one of them starts it."""
HEADING = """\
Generated from the site files by `exaworks ci generate --all`; edit ci/root.py or a site file and generate again.

SITES: the systems to test, separated by commas, or `all`; a schedule without it tests all of them.
EXAWORKS_TIER: smoke, integration (the default) or scale (on a schedule only).
EXAWORKS_PODS: slate, or another name of a runner of your own on a site's Kubernetes, to use instead of the site's."""


def root_pipeline(systems: Sequence[System]) -> Pipeline:
    """Return the root pipeline for these systems."""
    jobs = {"lint": _lint(), "tests": _tests(), "rehearsal": _rehearsal(), "generate": _generate()}
    for system in systems:
        jobs[slug(system)] = _child(system)
        if system.ci.pods is not None:
            jobs[f"{slug(system)}-{system.ci.pods.name}"] = _child(system, pods=True)
    jobs["junit"] = _junit(systems)
    jobs["pages"] = _pages()
    return Pipeline(
        heading=HEADING,
        workflow=Workflow(
            rules=[
                Rule(if_='$CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS && $CI_PIPELINE_SOURCE == "push"', when="never"),
                Rule(when="always"),
            ]
        ),
        stages=["check", "generate", "sites", "report"],
        # No variables here: a child would inherit them, and they would override those of its file and of the project.
        before_script=['export EXAWORKS_HOME="${EXAWORKS_HOME:-$PWD/.exaworks}" EXAWORKS="${EXAWORKS:-./exaworks}"'],
        jobs=jobs,
    )


def root_yaml(systems: Sequence[System]) -> str:
    """Return the text of the root file."""
    return to_yaml(root_pipeline(systems))


def path_of(system: System) -> str:
    """Return the path of a system's pipeline file, relative to the root of a checkout."""
    return f"ci/pipelines/{system.site}/{system.name}.yml"


def pods_path_of(system: System) -> str:
    """Return the path of the pipeline for the system's pods, which has the name of the pods."""
    return _beside(system, ".yml")


def values_path_of(system: System) -> str:
    """Return the path of the values of the chart that creates the runner of the system's pods."""
    return _beside(system, ".values.yaml")


def _beside(system: System, ending: str) -> str:
    assert system.ci.pods is not None
    return f"{path_of(system).removesuffix('.yml')}-{system.ci.pods.name}{ending}"


def plain(system: System) -> bool:
    """Return whether any machine can be this system: its file has no patterns, so any runner can run its pipeline."""
    return not system.detect.hosts and not system.detect.environment


def _not_for_sites_alone() -> list[Rule]:
    return [
        Rule(if_="$SITES", when="never"),
        Rule(if_='$CI_PIPELINE_SOURCE == "schedule"', when="never"),
        Rule(when="on_success"),
    ]


def _lint() -> Job:
    """Return the job that checks the files, including the generated ones, in one command and so one environment."""
    return Job(
        stage="check",
        image=IMAGE,
        rules=_not_for_sites_alone(),
        script=["./exaworks selftest tests/test_style.py tests/test_needs.py tests/ci/test_generate.py"],
        interruptible=True,
        retry=RETRY,
    )


def _tests() -> Job:
    return Job(
        stage="check",
        image=PLAIN_IMAGE,
        rules=_not_for_sites_alone(),
        script=[".ci/run"],
        timeout="2h",
        interruptible=True,
        retry=RETRY,
    )


def _rehearsal() -> Job:
    """Return the job that rehearses the smoke tier of every site on a testbed, before real machines run it."""
    return Job(
        stage="check",
        image=IMAGE,
        rules=_not_for_sites_alone(),
        script=[
            "apt-get update -qq && apt-get install -y -qq --no-install-recommends munge slurm-wlm",
            "./exaworks rehearse --all",
        ],
        timeout="1h",
        interruptible=True,
        retry=RETRY,
    )


def _generate() -> Job:
    return Job(
        stage="generate",
        image=IMAGE,
        needs=[],
        script=[f'"$EXAWORKS" ci generate --all --to {GENERATED}'],
        interruptible=True,
        retry=RETRY,
        artifacts=Artifacts(paths=[f"{GENERATED}/ci/pipelines"], expire_in="90 days"),
    )


def _child(system: System, *, pods: bool = False) -> Job:
    path = pods_path_of(system) if pods else path_of(system)
    return Job(
        stage="sites",
        needs=[Need(job="generate")],
        rules=[FORKED, *_elsewhere(system), *_form(system, pods=pods), *_selection(system)],
        variables={"EXAWORKS_TRIGGER": "$CI_PIPELINE_SOURCE"},
        trigger=Trigger(
            include=[ChildFile(artifact=f"{GENERATED}/{path}", job="generate")],
            strategy="depend",
            forward={"pipeline_variables": True},
        ),
        # Since the job waits for the child, this keeps two pipelines of a system from running at the same time.
        resource_group=slug(system),
    )


def _elsewhere(system: System) -> list[Rule]:
    """Return the rule that skips the system on every GitLab except its own, which has the site's runners."""
    server = system.ci.server
    return [Rule(if_=f'$CI_SERVER_URL != "{server.rstrip("/")}"', when="never")] if server else []


def _form(system: System, *, pods: bool) -> list[Rule]:
    """Return the rule that leaves one of two forms: the variable EXAWORKS_PODS of the project chooses the pods."""
    if system.ci.pods is None:
        return []
    return [Rule(if_=f'$EXAWORKS_PODS {"!=" if pods else "=="} "{system.ci.pods.name}"', when="never")]


def _selection(system: System) -> list[Rule]:
    name = re.escape(system.system).replace("/", r"\/").replace(r"\-", "-")
    changes = [f"site_configs/{system.system}.yaml", f"site_configs/{system.site}/{system.name}/**/*"]
    return [
        Rule(if_=f'$SITES == "all" || $SITES =~ /(^|,){name}(,|$)/'),
        Rule(if_="$SITES", when="never"),
        Rule(if_='$CI_PIPELINE_SOURCE == "schedule"'),
        Rule(
            if_='$CI_PIPELINE_SOURCE == "merge_request_event"',
            changes=[*changes, *(SHARED if plain(system) else [])],
            variables={"EXAWORKS_TIER": "smoke"},
        ),
    ]


def _junit(systems: Sequence[System]) -> Job:
    """Return the job that shows the children's results in the merge request, since GitLab shows only the parent's."""
    return Job(
        stage="report",
        image=IMAGE,
        needs=[Need(job=name, artifacts=False, optional=True) for system in systems for name in _children(system)],
        rules=[
            FORKED,
            Rule(if_='$CI_PIPELINE_SOURCE == "merge_request_event"', when="always"),
            Rule(if_="$SITES", when="always"),
        ],
        script=['"$EXAWORKS" ci reports --to results'],
        allow_failure=True,
        retry=RETRY,
        artifacts=Artifacts(
            when="always",
            expire_in="90 days",
            paths=["results"],
            reports={"junit": ["results/*/*/stage.xml", "results/*/*/*/junit.xml"]},
        ),
    )


def _children(system: System) -> list[str]:
    """Return the names of the jobs that start a pipeline of the system."""
    pods = [f"{slug(system)}-{system.ci.pods.name}"] if system.ci.pods is not None else []
    return [slug(system), *pods]


def _pages() -> Job:
    """Return the job that publishes the documentation of the default branch and of every release."""
    return Job(
        stage="report",
        image=IMAGE,
        needs=[Need(job="tests", artifacts=False)],
        rules=[
            Rule(if_="$SITES", when="never"),
            Rule(if_='$CI_PIPELINE_SOURCE == "schedule"', when="never"),
            Rule(if_="$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"),
        ],
        variables={"GIT_DEPTH": "0"},  # the releases are tags
        script=["./exaworks docs build --releases --to public"],
        interruptible=True,
        retry=RETRY,
        artifacts=Artifacts(paths=["public"], expire_in="90 days"),
    )
