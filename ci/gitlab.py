"""The part of GitLab's pipeline language that is used here, as types, and its YAML.

Field names are GitLab's own; https://docs.gitlab.com/ci/yaml/ describes them. Fields with the default value are left
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ci.yaml_text import lines


class _Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Immutable; a subclass repeats the three settings for type checkers."""


class Rule(_Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"if_": "if"}):
    """One entry of ``rules:``; the first one that matches decides whether the job is created."""

    if_: str | None = None
    changes: list[str] = []
    when: str | None = None
    variables: dict[str, str] = {}


class IdToken(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An OpenID Connect token that GitLab issues to one job."""

    aud: str


class Retry(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often GitLab repeats a job, and after which kinds of failure."""

    max: int
    when: list[str]


class Artifacts(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The files that GitLab keeps of a job."""

    name: str | None = None
    when: str | None = None
    expire_in: str | None = None
    paths: list[str] = []
    reports: dict[str, list[str]] = {}


class Need(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job that has to end first, and whose artifacts are fetched."""

    job: str
    artifacts: bool = True
    optional: bool = False


class ChildFile(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pipeline file that another job has written."""

    artifact: str
    job: str


class Trigger(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The start of a child pipeline; with ``strategy: depend`` the job ends with the status of the child."""

    include: list[ChildFile]
    strategy: str = ""
    forward: dict[str, bool] = {}


class Job(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job. ``allow_failure`` has no ``exit_codes`` here, since custom executors turn every exit code into 1."""

    stage: str
    image: str | None = None
    tags: list[str] = []
    rules: list[Rule] = []
    needs: list[Need] | None = None
    variables: dict[str, str] = {}
    id_tokens: dict[str, IdToken] = {}
    before_script: list[str] | None = None
    script: list[str] = []
    after_script: list[str] = []
    trigger: Trigger | None = None
    resource_group: str | None = None
    timeout: str | None = None
    allow_failure: bool = False
    interruptible: bool = False
    retry: Retry | None = None
    coverage: str | None = None
    when: str | None = None
    artifacts: Artifacts | None = None


class Described(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variable with a value and the text that GitLab shows beside it when someone starts a pipeline."""

    value: str
    description: str


class ProjectFile(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of another project on the same GitLab."""

    project: str
    file: str
    ref: str | None = None


class Workflow(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a pipeline is created at all."""

    rules: list[Rule]


class Pipeline(_Struct, frozen=True, kw_only=True):
    """A whole file. ``before_script`` becomes the default of all jobs."""

    heading: str
    include: list[ProjectFile] = []
    workflow: Workflow
    stages: list[str]
    variables: Mapping[str, str | Described] = {}
    before_script: list[str] = []
    jobs: Mapping[str, Job]


def to_yaml(pipeline: Pipeline) -> str:
    """Return a pipeline as YAML, with the heading as comment lines; text of several lines becomes a literal block."""
    tree: dict[str, Any] = {"include": msgspec.to_builtins(pipeline.include)} if pipeline.include else {}
    tree |= {"workflow": msgspec.to_builtins(pipeline.workflow), "stages": pipeline.stages}
    if pipeline.variables:
        tree["variables"] = msgspec.to_builtins(pipeline.variables)
    if pipeline.before_script:
        tree["default"] = {"before_script": pipeline.before_script}
    tree |= {name: msgspec.to_builtins(job) for name, job in pipeline.jobs.items()}
    blocks = "\n".join("".join(f"{line}\n" for line in lines({key: value})) for key, value in tree.items())
    comment = "".join(f"# {line}".rstrip() + "\n" for line in pipeline.heading.splitlines())
    return f"{comment}\n{blocks}"
