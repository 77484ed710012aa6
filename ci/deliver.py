"""Deliver to the collector every run that it does not have yet, including runs of earlier pipelines."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ci.stage import CLI
from ci.system import ID_TOKEN
from exaworks_sdk.paths import Places
from site_configs.schema import System

TOKEN = "EXAWORKS_COLLECTOR_TOKEN"  # noqa: S105 - the name of a variable
URL = "EXAWORKS_COLLECTOR_URL"
NOTHING_LOST = "the results stay in {runs} and in this pipeline's artifacts; a later pipeline delivers them"

Echo = Callable[[str], None]


def deliver(system: System, places: Places, results: Path, environ: Mapping[str, str], echo: Echo) -> int:
    """Send the runs that the collector lacks.

    Returns:
        0 if the collector then has every run, else 1, which a pipeline shows as a warning.
    """
    url = environ.get(URL) or system.collector.url
    if url is None:
        echo(f"no collector: set ${URL}, or collector.url in the site file of {system.system}")
        return 0
    acknowledged = _Acknowledgements(places.home / "ci-delivered.json", url)
    undelivered = [
        (folder, closing)
        for folder, closing in _runs(system, places, results)
        if acknowledged.sequence(folder.name) != closing
    ]
    if not undelivered:
        echo(f"{url} has every run of {system.system}")
        return 0
    tokens = _tokens(system, environ)
    if not tokens:
        echo(f"warning: no token for {url} is set; {NOTHING_LOST.format(runs=places.runs)}")
        return 1
    failed = 0
    for folder, closing in undelivered:
        if any(_push(folder, url, token, environ) for token in tokens):
            acknowledged.add(folder.name, closing)
            echo(f"delivered {folder.name}")
        else:
            failed += 1
    if failed:
        message = f"{failed} of {len(undelivered)} runs could not be delivered"
        echo(f"warning: {message}; {NOTHING_LOST.format(runs=places.runs)}")
    return 1 if failed else 0


def _tokens(system: System, environ: Mapping[str, str]) -> list[str]:
    """Return the tokens to try, in order: the ID token of the job first, then stored secrets."""
    id_token = system.ci.collector_token.variable if system.ci.collector_token else ID_TOKEN
    names = [id_token, system.collector.token_env, TOKEN]
    return list(dict.fromkeys(environ[name] for name in names if name and environ.get(name)))


def _push(folder: Path, url: str, token: str, environ: Mapping[str, str]) -> bool:
    """Run ``exaworks results push``; the token is in its environment, never on the command line."""
    command = [*CLI, "results", "push", str(folder), "--to", url, "--allow-unclosed"]  # the verdict reports that
    return subprocess.run(command, env={**environ, TOKEN: token}, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _runs(system: System, places: Places, results: Path) -> list[tuple[Path, int]]:
    """Return the folders of the system's runs with the sequence of their closing, or 0 if they are not closed.

    A run in the work directory has precedence; a run that is only in the artifacts comes from another machine.
    """
    folders: dict[str, tuple[Path, int]] = {}
    for pattern, root in (("*/manifest.json", places.runs), ("*/*/manifest.json", results)):
        for path in sorted(root.glob(pattern)):
            try:
                manifest: dict[str, Any] = json.loads(path.read_bytes())
                name = f"{manifest['site']}/{manifest['system']}"
                sequence = (manifest.get("closed") or {}).get("sequence", 0)
            except (OSError, ValueError, KeyError, AttributeError):
                continue  # the verdict reports a run without a readable manifest
            if name == system.system:
                folders.setdefault(path.parent.name, (path.parent.absolute(), sequence))
    return list(folders.values())


class _Acknowledgements:
    """The closings of runs that each collector has acknowledged, in a file. If it is lost, runs are sent once more."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url
        try:
            self.all = msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, int]])
        except (OSError, msgspec.MsgspecError):
            self.all = {}

    def sequence(self, run: str) -> int | None:
        return self.all.get(self.url, {}).get(run)

    def add(self, run: str, sequence: int) -> None:
        self.all.setdefault(self.url, {})[run] = sequence
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.write_bytes(msgspec.json.encode(self.all))
        fresh.replace(self.path)

    def by_any(self, run: str, sequence: int) -> bool:
        return any(runs.get(run) == sequence for runs in self.all.values())


def delivered(places: Places, run: str, sequence: int) -> bool:
    """Return whether any collector has acknowledged this closing of the run."""
    return _Acknowledgements(places.home / "ci-delivered.json", "").by_any(run, sequence)
