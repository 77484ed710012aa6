"""The part of GitHub's workflow language that is used here, as types, and its YAML.

Field names are GitHub's own; https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax describes
them. Fields with the default value are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ci.yaml_text import lines

CHECKOUT = "actions/checkout@v6"
UPLOAD = "actions/upload-artifact@v6"
"""The two actions in use, at versions that run on Node 24: GitHub's runners have had no Node 20 since autumn 2026."""
ALWAYS = "${{ !cancelled() }}"
"""The condition of a step that also runs after a failed one, but not after a cancellation."""
SUMMARY = "$GITHUB_STEP_SUMMARY"
"""The file whose Markdown GitHub shows on the page of a workflow's run."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Immutable; a subclass repeats the three settings for type checkers."""


class Step(
    _Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"if_": "if", "on_error": "continue-on-error"}
):
    """One step of a job: an action with ``uses`` and ``with``, or a script with ``run``.

    ``on_error``: whether the job goes on, and can still pass, if this step fails.
    """

    name: str
    if_: str | None = None
    uses: str | None = None
    with_: dict[str, Any] = msgspec.field(default_factory=dict, name="with")
    env: dict[str, str] = {}
    run: str | None = None
    on_error: bool = False


class Job(_Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """One job, on a machine of GitHub's (one label) or on a runner of one's own (a list of labels)."""

    runs_on: str | list[str]
    container: str | None = None
    timeout_minutes: int
    env: dict[str, str] = {}
    steps: list[Step]


class Concurrency(_Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """A group of runs of which only one is active at a time."""

    group: str
    cancel_in_progress: bool


class Workflow(_Struct, frozen=True, kw_only=True):
    """A whole file. Every script runs with ``sh -e``, in a container and outside."""

    heading: str
    name: str
    on: dict[str, Any]
    concurrency: Concurrency
    jobs: Mapping[str, Job]


def checkout(**options: object) -> Step:
    """Return the step that checks out the repository and leaves no credentials in its configuration."""
    return Step(name="Check out", uses=CHECKOUT, with_={"persist-credentials": False, **options})


def upload(name: str, *paths: str) -> Step:
    """Return the step that keeps files as an artifact of the run for 90 days, whatever happened before."""
    options = {"name": name, "path": "\n".join(paths), "if-no-files-found": "warn", "retention-days": 90}
    return Step(name="Keep the results", if_=ALWAYS, uses=UPLOAD, with_=options)


def to_yaml(workflow: Workflow) -> str:
    """Return a workflow as YAML, with the heading as comment lines. Its token may only read the repository."""
    tree: dict[str, Any] = {
        "name": workflow.name,
        "on": workflow.on,
        "permissions": {"contents": "read"},
        "concurrency": msgspec.to_builtins(workflow.concurrency),
        "defaults": {"run": {"shell": "sh"}},
        "jobs": {name: msgspec.to_builtins(job) for name, job in workflow.jobs.items()},
    }
    blocks = "\n".join("".join(f"{line}\n" for line in lines({key: value})) for key, value in tree.items())
    comment = "".join(f"# {line}".rstrip() + "\n" for line in workflow.heading.splitlines())
    return f"{comment}\n{blocks}"
