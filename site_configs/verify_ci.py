"""What an unattended run of a system needs from its environment, and what of it is set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from site_configs.schema import System
from site_configs.values import Trigger

SETTINGS = "~/.config/exaworks/ci.env"
"""The file with ``NAME=value`` lines that a cron script reads; ``EXAWORKS_CI_ENV`` names another one."""
_NAME = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")


@dataclass(frozen=True)
class Setting:
    """One variable. ``state``: ``set``, ``default`` (of the site file), ``optional`` (not set), or ``unset``."""

    name: str
    meaning: str
    state: str
    default: str | None = None


def ci_settings(system: System, environ: Mapping[str, str]) -> list[Setting]:
    """Return every variable that the system's pipeline or cron script reads, those that must still be set first.

    No value is returned, since some of them are secrets.
    """
    given = {name for name, text in environ.items() if text} | _of_file(environ)
    found: dict[str, Setting] = {}
    for name, meaning, default, required in _wanted(system, environ):
        missing = "default" if default is not None else "unset" if required else "optional"
        state = "set" if name in given else missing
        found.setdefault(name, Setting(name, meaning, state, default))
    order = ("unset", "default", "set", "optional")
    return sorted(found.values(), key=lambda setting: order.index(setting.state))


def _wanted(system: System, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str | None, bool]]:
    """Yield name, meaning, default and whether it is required."""
    for spec in system.schedulers:
        if spec.account_env:
            yield spec.account_env, "the account of batch jobs", None, True
    for variable in system.ci.variables:
        yield variable.name, variable.meaning, variable.default, variable.default is None
    home = "the folder of environments, runs and locks, shared by pods and compute nodes" if system.ci.pods else ""
    home = home or "the folder of environments, runs and locks"
    yield "EXAWORKS_CI_HOME", home, system.work_dir and f"{system.work_dir}/exaworks-ci", False
    if not environ.get("EXAWORKS_CI_HOME"):
        for match in _NAME.finditer(system.work_dir or ""):
            yield match[1] or match[2], f"part of work_dir: {system.work_dir}", None, True
    yield "EXAWORKS_COLLECTOR_URL", "the collector; without it no results are delivered", system.collector.url, False
    tokens = Trigger.GITLAB in system.ci.triggers and (system.collector.url or system.ci.collector_token)
    known = bool(environ.get("EXAWORKS_COLLECTOR_URL")) or system.collector.url is not None
    token = system.collector.token_env or "EXAWORKS_COLLECTOR_TOKEN"
    yield (
        token,
        "a secret: the collector's token, where it does not accept the job's identity",
        None,
        known and not tokens,
    )
    yield "EXAWORKS_GITLAB_TOKEN", "a secret of scope api: commit status and comment in merge requests", None, False


def _of_file(environ: Mapping[str, str]) -> set[str]:
    """Return the names that the settings file of cron scripts sets; empty if it cannot be read."""
    home = environ.get("HOME")
    named = environ.get("EXAWORKS_CI_ENV") or (SETTINGS.replace("~", home) if home else None)
    try:
        lines = Path(named).read_text(encoding="utf-8", errors="replace").splitlines() if named else []
    except OSError:
        return set()
    matches = (_LINE.fullmatch(line.strip()) for line in lines)
    return {match[1] for match in matches if match and match[2].strip("\"' ")}
