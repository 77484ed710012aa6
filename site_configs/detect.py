"""Recognise the machine this runs on by its host name and environment, without any network access."""

from __future__ import annotations

import fnmatch
import os
import socket
from collections.abc import Callable, Mapping

from site_configs.errors import AmbiguousSystem, NoSystemDetected
from site_configs.load import find, systems
from site_configs.schema import Detect, State, System
from site_configs.values import Match

FALLBACK = "local/workstation"


def detect(
    hostname: str | None = None,
    environ: Mapping[str, str] | None = None,
    scheduler_answers: Callable[[], list[str]] | None = None,
) -> System:
    """Return the system whose patterns match this machine, or ``local/workstation`` if no scheduler answers here.

    scheduler_answers: returns the kinds of scheduler that answer here, such as ``["slurm"]``. It is called only if no
    system matches, since it takes time.

    Raises:
        AmbiguousSystem: more than one active system matches.
        NoSystemDetected: no system matches although a scheduler answers, or the only one that matches is retired.
        SiteFileError: a site file does not fit the schema.
    """
    host = socket.gethostname() if hostname is None else hostname
    variables = os.environ if environ is None else environ
    matching = [system for system in systems(variables) if matches(system.detect, host, variables)]
    active = [system.system for system in matching if system.state is State.ACTIVE]
    if len(active) > 1:
        raise AmbiguousSystem(
            f"Host {host!r} matches {' and '.join(active)}. Choose one with --site, or narrow their detect: patterns."
        )
    if active:
        return find(active[0], environ=variables)
    advice = (
        "Describe this machine with `exaworks sites new --to FILE` and pass the file with --site-file, "
        f"or use only the cores of this host with `--site {FALLBACK}`."
    )
    if matching:
        raise NoSystemDetected(f"Host {host!r} matches only {matching[0].system}, which is retired. {advice}")
    answering = scheduler_answers() if scheduler_answers is not None else []
    if answering:
        raise NoSystemDetected(f"No site file matches host {host!r}, but {' and '.join(answering)} answers. {advice}")
    return find(FALLBACK, environ=variables)


def matches(patterns: Detect, hostname: str, environ: Mapping[str, str]) -> bool:
    """Return whether a host name (in full, or its first label) and an environment match; no patterns match nothing."""
    if not patterns.hosts and not patterns.environment:
        return False
    names = {hostname.lower(), hostname.lower().partition(".")[0]}
    host_fits = not patterns.hosts or any(
        fnmatch.fnmatchcase(name, pattern.lower()) for name in names for pattern in patterns.hosts
    )
    environment_fits = all(
        name in environ and fnmatch.fnmatchcase(environ[name], pattern)
        for name, pattern in patterns.environment.items()
    )
    if patterns.match is Match.ANY:
        return (bool(patterns.hosts) and host_fits) or (bool(patterns.environment) and environment_fits)
    return host_fits and environment_fits
