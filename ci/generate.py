"""Which files there are to generate, and whether the ones that are there are what would be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ci.errors import CiError, NoPipelineError
from ci.root import path_of, plain, root_yaml
from ci.system import system_yaml
from site_configs.schema import State, System
from site_configs.values import Trigger

ROOT_FILE = ".gitlab-ci.yml"


def fleet(systems: Sequence[System]) -> list[System]:
    """Return the systems that have a pipeline: active ones with a GitLab runner, and the plain machine."""
    return [
        system
        for system in systems
        if system.state is State.ACTIVE and (system.ci.trigger is Trigger.GITLAB or plain(system))
    ]


def everything(systems: Sequence[System]) -> dict[str, str]:
    """Return path and text of every generated file of a checkout.

    Raises:
        NoPipelineError: there is no system to generate for.
    """
    chosen = fleet(systems)
    if not chosen:
        raise NoPipelineError("no active system has ci.trigger: gitlab, so there is nothing to generate.")
    return {ROOT_FILE: root_yaml(chosen), **{path_of(system): system_yaml(system) for system in chosen}}


def write(files: Mapping[str, str], to: Path) -> list[Path]:
    """Write the files that differ below ``to`` and remove pipelines of systems that have none any more."""
    changed = []
    try:
        for name, text in files.items():
            path = to / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                changed.append(path)
        for path in strays(files, to):
            path.unlink()
            changed.append(path)
    except OSError as error:
        raise CiError(f"{to}: cannot be written: {error.strerror or error}") from error
    return changed


def outdated(files: Mapping[str, str], to: Path) -> list[str]:
    """Return the names of files that are absent, differ, or are left over."""
    wrong = []
    for name, text in files.items():
        path = to / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            wrong.append(name)
    return wrong + [str(path.relative_to(to)) for path in strays(files, to)]


def strays(files: Mapping[str, str], to: Path) -> list[Path]:
    """Return pipeline files that no system has; only where all of them are at hand, that is, with the root file."""
    if ROOT_FILE not in files:
        return []
    return sorted(path for path in to.glob("ci/pipelines/*/*.yml") if str(path.relative_to(to)) not in files)
