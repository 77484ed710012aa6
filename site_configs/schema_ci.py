"""The part of a site file about unattended runs: the keys ``runner`` and ``ci``."""

from __future__ import annotations

from typing import Any

import msgspec

from site_configs.values import Address, Duration, Name, OnInfra, Text, Trigger, Variable


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of these structs: immutable, and unknown keys are errors."""


class Runner(_Struct, frozen=True, kw_only=True):
    """The GitLab runner of the site.

    ``executor`` is how the runner runs a job: ``shell`` on a login node, or ``batch`` as a batch job. ``tags`` are the
    tags of every job; ``shell_tags`` or ``batch_tags`` are added for jobs that need one of the two ways. A tag may be
    ``$VARIABLE``, one of ``ci.variables``: for sites that do not publish the tags of their runners.
    """

    tags: list[Name] = []
    executor: Name | None = None
    shell_tags: list[Name] = []
    batch_tags: list[Name] = []


class IdToken(_Struct, frozen=True, kw_only=True):
    """An OIDC token that GitLab issues to a job: the variable that holds it, and its audience."""

    variable: Variable
    audience: Text


class CiInclude(_Struct, frozen=True, kw_only=True):
    """A file on the site's GitLab that its pipelines must include, such as the one that declares ID tokens."""

    project: Name
    file: Name
    ref: Name | None = None


class CiVariable(_Struct, frozen=True, kw_only=True):
    """A fact that the site does not publish: the project's variable that holds it, and the value if it is not set.

    Without ``default`` the variable must be set; ``exaworks sites verify --ci`` reports which are not.
    """

    name: Variable
    meaning: Text
    default: Text | None = None


class Pods(_Struct, frozen=True, kw_only=True):
    """A runner of one's own on the site's Kubernetes, whose pods submit batch jobs to the system.

    ``name`` distinguishes this form from the site's own runners. ``annotations`` are those of each pod, which give it
    the scheduler's commands and the shared file system. ``builds_dir`` is a folder that pods and compute nodes share;
    it may contain variables. ``values`` are further values of the site's chart.
    """

    name: Name
    tags: list[Name]
    image: Name
    builds_dir: Text
    annotations: dict[Name, Text] = {}
    values: dict[str, Any] = {}


class Ci(_Struct, frozen=True, kw_only=True):
    """How this system is tested automatically.

    ``trigger`` is what starts scheduled runs; with several, each of them can. ``scheduler_parameters`` is the variable
    in which the site's Jacamar expects the options of a batch job. ``site_token`` is the ID token that Jacamar itself
    requires; ``collector_token`` is the one that identifies the job to the collector. ``infra`` decides whether a
    pipeline fails if only the site's infrastructure failed. ``timeout`` is the limit of one job. With ``package_jobs``,
    each package of a Spack build is a job of its own. ``lanes`` are the ways of deployment that one pipeline tests side
    by side, instead of ``deployment``: pip, conda, spack, module:NAME, image:NAME, venv:DIR.
    """

    trigger: Trigger | list[Trigger] = Trigger.NONE
    infra: OnInfra = OnInfra.FAIL
    server: Address | None = None
    scheduler_parameters: Variable | None = None
    site_token: IdToken | None = None
    collector_token: IdToken | None = None
    includes: list[CiInclude] = []
    variables: list[CiVariable] = []
    pods: Pods | None = None
    lanes: list[Name] = []
    timeout: Duration | None = None
    package_jobs: bool = False

    @property
    def triggers(self) -> frozenset[Trigger]:
        """What starts scheduled runs; empty if nothing does."""
        named = [self.trigger] if isinstance(self.trigger, Trigger) else self.trigger
        return frozenset(named) - {Trigger.NONE}
