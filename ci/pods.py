"""The pipeline for a runner of one's own on a site's Kubernetes, and the values of the runner's chart.

A job is a pod beside the machine. Its stages run as batch jobs of the machine, which the pod submits and waits for;
delivery and verdict run in the pod. Work tree and results are on a file system that pods and compute nodes share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ci.errors import NoPipelineError, SiteValueError
from ci.gitlab import Job, Pipeline, to_yaml
from ci.phases import phases
from ci.shell import script
from ci.system import (
    environment_lines,
    exaworks,
    setup_lines,
    site_variables,
    stage_argument_list,
    system_pipeline,
)
from ci.yaml_text import lines
from site_configs.schema import System
from site_configs.schema_ci import Pods

HEADING = """

This is the form for a runner of your own on the site's Kubernetes ({name}): each stage is a batch job that a pod
submits. EXAWORKS_CI_HOME must be a folder that pods and compute nodes share."""
VALUES = """\
{system}: values of the chart of GitLab's runner ({name}).
Generated from the site file by `exaworks ci generate --all`; edit that file and generate again.
`exaworks ci values --site {system}` writes them with the variables below replaced from your environment.
The token of the runner is never here: it is in the Kubernetes secret that runners.secret names.
"""
SECRET = "exaworks-runner"  # noqa: S105 - the name of a secret
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def pods_of(system: System) -> Pods:
    """Return the pods of a system.

    Raises:
        NoPipelineError: its site file has none.
    """
    if system.ci.pods is None:
        raise NoPipelineError(f"{system.system}: the site file has no ci.pods, so it has no pipeline for pods.")
    return system.ci.pods


def pods_pipeline(system: System) -> Pipeline:
    """Return the pipeline whose jobs are pods.

    Raises:
        NoPipelineError: the system is retired, or has no pods.
    """
    pods = pods_of(system)
    whole = system_pipeline(system, inside=True)
    stages = {phase.name: phase for phase in phases(system, inside=True)}
    jobs = {}
    for name, job in whole.jobs.items():
        if name in stages:
            arguments = ["ci", "submit", *stage_argument_list(system, stages[name])]
            job = msgspec.structs.replace(job, script=[exaworks(*arguments), *job.script[1:]])
            if job.after_script:
                after = [*environment_lines(system, script("pod.sh").rstrip()), job.after_script[-1]]
                job = msgspec.structs.replace(job, after_script=after)
        jobs[name] = job if job.trigger is not None else _in_pod(system, pods, job)
    others = {variable.name for variable in system.ci.variables}
    variables = {name: value for name, value in whole.variables.items() if name not in others}
    return msgspec.structs.replace(
        whole,
        variables=variables | site_variables(system, pods=True),
        heading=whole.heading + HEADING.format(name=pods.name),
        before_script=[*environment_lines(system, script("pod.sh").rstrip()), setup_lines(system)[-1]],
        jobs=jobs,
    )


def pods_yaml(system: System) -> str:
    """Return the text of the pipeline whose jobs are pods."""
    return to_yaml(pods_pipeline(system))


def _in_pod(system: System, pods: Pods, job: Job) -> Job:
    """Return a job with the tags of the pods, without what only the site's own runners read."""
    ci = system.ci
    token = ci.site_token.variable if ci.site_token else None
    return msgspec.structs.replace(
        job,
        tags=list(pods.tags),
        image=pods.image,
        variables={name: value for name, value in job.variables.items() if name != ci.scheduler_parameters},
        id_tokens={name: value for name, value in job.id_tokens.items() if name != token},
    )


def values_yaml(system: System, environ: Mapping[str, str] | None = None) -> str:
    """Return the values of the runner's chart; with ``environ`` its variables are replaced.

    Raises:
        NoPipelineError: the system has no pods.
        SiteValueError: a variable is not set, or a value cannot be written.
    """
    pods = pods_of(system)
    builds = pods.builds_dir if environ is None else _replaced(pods.builds_dir, environ, system)
    tree: dict[str, Any] = {
        "gitlabUrl": system.ci.server or "https://gitlab.example.org",
        "concurrent": 4,
        "rbac": {"create": True},
        "podAnnotations": dict(pods.annotations),
        **pods.values,
        "runners": {"executor": "kubernetes", "secret": SECRET, "config": _config(pods, builds)},
    }
    heading = "".join(
        f"# {line}".rstrip() + "\n" for line in VALUES.format(system=system.system, name=pods.name).splitlines()
    )
    return heading + "\n" + "".join(f"{line}\n" for line in lines(tree))


def _config(pods: Pods, builds: str) -> str:
    """Return the runner's config.toml, whose strings are JSON's, a subset of TOML's."""
    text = [
        "[[runners]]",
        '  executor = "kubernetes"',
        f"  builds_dir = {_quoted(builds)}",
        f"  environment = [{_quoted('EXAWORKS_CI_HOME=' + builds + '/home')}]",
        "  [runners.kubernetes]",
        f"    image = {_quoted(pods.image)}",
        "    [runners.kubernetes.pod_annotations]",
        *(f"      {_quoted(name)} = {_quoted(value)}" for name, value in pods.annotations.items()),
    ]
    return "\n".join(text) + "\n"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _replaced(text: str, environ: Mapping[str, str], system: System) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not environ.get(name):
            raise SiteValueError(f"{system.system}: {text} needs ${name}, which is not set. Set it and run again.")
        return environ[name]

    return _VARIABLE.sub(value, text)
