"""The list of generated files, and the check whether the files of a checkout are current."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ci import github_cases, github_checks
from ci.errors import CiError, NoPipelineError
from ci.pods import pods_yaml, values_yaml
from ci.root import path_of, plain, pods_path_of, root_yaml, values_path_of
from ci.system import system_yaml
from site_configs.schema import State, System
from site_configs.values import Trigger

ROOT_FILE = ".gitlab-ci.yml"


def with_pipeline(systems: Sequence[System]) -> list[System]:
    """Return the systems that have a pipeline: active ones that GitLab triggers, and the plain machine."""
    return [system for system in systems if Trigger.GITLAB.value in unattended(system)]


def unattended(system: System) -> list[str]:
    """Return the forms in which a system can be tested unattended: ``gitlab``, the name of its pods, ``cron``, …

    An active system without any is a gap that a test reports; a retired one has none.
    """
    if system.state is not State.ACTIVE:
        return []
    triggers = system.ci.triggers | ({Trigger.GITLAB} if plain(system) else set())
    pods = [system.ci.pods.name] if system.ci.pods is not None else []
    return sorted(trigger.value for trigger in triggers) + pods


def all_files(systems: Sequence[System]) -> dict[str, str]:
    """Return the path and the text of every generated file of a checkout.

    Raises:
        NoPipelineError: no system has a pipeline.
    """
    chosen = with_pipeline(systems)
    if not chosen:
        raise NoPipelineError("no active system has ci.trigger: gitlab in its site file, so nothing can be generated.")
    files = {ROOT_FILE: root_yaml(chosen), **{path_of(system): system_yaml(system) for system in chosen}}
    for system in chosen:
        if system.ci.pods is not None:
            files[pods_path_of(system)] = pods_yaml(system)
            files[values_path_of(system)] = values_yaml(system)
    return files


def github_files(systems: Sequence[System]) -> dict[str, str]:
    """Return the path and the text of GitHub's workflows: the project's own, and that of the example with own cases."""
    chosen = with_pipeline(systems)
    machine = next((system for system in chosen if plain(system)), None)
    if machine is None:
        return {}
    return {
        github_checks.PATH: github_checks.checks_yaml(chosen),
        github_cases.PATH: github_cases.cases_yaml(machine),
    }


def write(files: Mapping[str, str], to: Path) -> list[Path]:
    """Write the files that differ below ``to``, and remove pipelines of systems that no longer have one."""
    changed = []
    try:
        for name, text in files.items():
            path = to / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                changed.append(path)
        for path in obsolete(files, to):
            path.unlink()
            changed.append(path)
    except OSError as error:
        raise CiError(f"{to}: cannot be written: {error.strerror or error}") from error
    return changed


def outdated(files: Mapping[str, str], to: Path) -> list[str]:
    """Return the names of files that are missing, differ or are obsolete."""
    names = []
    for name, text in files.items():
        path = to / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            names.append(name)
    return names + [str(path.relative_to(to)) for path in obsolete(files, to)]


def obsolete(files: Mapping[str, str], to: Path) -> list[Path]:
    """Return the pipeline files that belong to no system; empty unless ``files`` has those of all systems."""
    if ROOT_FILE not in files:
        return []
    written = [*to.glob("ci/pipelines/*/*.yml"), *to.glob("ci/pipelines/*/*.yaml")]
    return sorted(path for path in written if str(path.relative_to(to)) not in files)
