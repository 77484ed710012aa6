"""A child pipeline with one job a package of a Spack build, in the order of the DAG.

Each package is reported by itself, those that do not depend on each other are built at once on as many runners as there
are, and what one pipeline has built the next leaves out. All share the install tree in the site's work directory.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping

import msgspec

from ci.errors import StageError
from ci.gitlab import Job, Need, Pipeline, to_yaml
from ci.limits import BUILD, times
from ci.phases import install_words
from ci.stage import CLI
from ci.system import (
    RETRY,
    WORKFLOW,
    exaworks,
    fallback_parameters,
    includes,
    places,
    proxy,
    site_token,
    stage_artifacts,
    tags,
)
from site_configs.schema import System

NEEDS = 50
"""GitLab allows a job no more; one with more waits for all earlier stages instead."""


class Package(msgspec.Struct, frozen=True):
    """One package, as ``exaworks install --packages`` lists it."""

    hash: str
    name: str
    version: str
    needs: list[str]
    installed: bool

    @property
    def job(self) -> str:
        return f"{self.name}-{self.hash[:7]}"


def listed(system: System, environ: Mapping[str, str]) -> list[Package]:
    """Ask which packages the environment in the work directory consists of.

    Raises:
        StageError: it is not concretized, or Spack does not answer.
    """
    words = [*CLI, *install_words(system), "--packages"]
    done = subprocess.run(words, env=dict(environ), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StageError(f"no packages to make jobs of: {done.stderr.strip()}")
    try:
        return msgspec.json.decode(done.stdout, type=list[Package])
    except msgspec.MsgspecError as error:
        raise StageError(f"exaworks install --packages says what is no list of packages: {error}") from error


def packages_pipeline(system: System, packages: Iterable[Package]) -> Pipeline:
    """Make the pipeline of what is not installed yet; one that has nothing to do says so, since none may be empty."""
    missing = {package.hash: package for package in packages if not package.installed}
    levels = _levels(missing)
    jobs = {
        package.job: _job(system, package, f"level {levels[package.hash]}", missing)
        for package in sorted(missing.values(), key=lambda package: (levels[package.hash], package.job))
    }
    if not jobs:
        jobs = {"nothing to build": _plain(system, ["echo 'every package is there'"], stage="level 1")}
    return Pipeline(
        heading=f"{system.system}: the packages that are still to be built, by `exaworks ci packages`.",
        include=includes(system),
        workflow=WORKFLOW,
        variables=proxy(system, batch=False),
        stages=[f"level {level}" for level in sorted(set(levels.values()) or {1})],
        before_script=places(system),
        jobs=jobs,
    )


def packages_yaml(system: System, packages: Iterable[Package]) -> str:
    """Return the text of that pipeline."""
    return to_yaml(packages_pipeline(system, packages))


def _job(system: System, package: Package, stage: str, missing: Mapping[str, Package]) -> Job:
    words = ["ci", "stage", package.job, "--site", system.system, "--", *install_words(system)]
    first = [Need(job=missing[need].job, artifacts=False) for need in package.needs if need in missing]
    return msgspec.structs.replace(
        _plain(system, [exaworks(*words, "--package", package.hash)], stage),
        needs=first if len(first) <= NEEDS else None,
        artifacts=stage_artifacts(system, package.job),
    )


def _plain(system: System, script: list[str], stage: str) -> Job:
    limits = times(system, BUILD)
    return Job(
        stage=stage,
        tags=tags(system),
        variables=limits.variables | fallback_parameters(system),
        id_tokens=site_token(system),
        script=script,
        timeout=limits.timeout,
        interruptible=True,
        retry=RETRY,
    )


def _levels(missing: Mapping[str, Package]) -> dict[str, int]:
    """Say how deep each package is: 1 where nothing has to be built before it."""
    levels: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in levels:
            levels[name] = 1 + max((level(need) for need in missing[name].needs if need in missing), default=0)
        return levels[name]

    for name in missing:
        level(name)
    return levels
