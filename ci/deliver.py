"""Bring every run that a collector does not have yet to it, this pipeline's and those of earlier ones."""

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

Say = Callable[[str], None]


def deliver(system: System, places: Places, results: Path, environ: Mapping[str, str], say: Say) -> int:
    """Push what is owed; 0 when nothing is owed any more, 1 otherwise, which a pipeline shows as a warning."""
    url = environ.get(URL) or system.collector.url
    if url is None:
        say(f"no collector: neither ${URL} nor collector.url of {system.system}")
        return 0
    ledger = _Ledger(places.home / "ci-delivered.json", url)
    owed = [
        (folder, closing)
        for folder, closing in _runs(system, places, results)
        if ledger.sequence(folder.name) != closing
    ]
    if not owed:
        say(f"{url} has every run of {system.system}")
        return 0
    tokens = _tokens(system, environ)
    if not tokens:
        say(f"warning: no token for {url}; {NOTHING_LOST.format(runs=places.runs)}")
        return 1
    left = 0
    for folder, closing in owed:
        if any(_push(folder, url, token, environ) for token in tokens):
            ledger.add(folder.name, closing)
            say(f"delivered {folder.name}")
        else:
            left += 1
    if left:
        say(f"warning: {left} of {len(owed)} runs are not delivered; {NOTHING_LOST.format(runs=places.runs)}")
    return 1 if left else 0


def _tokens(system: System, environ: Mapping[str, str]) -> list[str]:
    """Return the tokens to try, the job's own identity first, a stored secret where that is not accepted."""
    made = system.ci.collector_token.variable if system.ci.collector_token else ID_TOKEN
    names = [made, system.collector.token_env, TOKEN]
    return list(dict.fromkeys(environ[name] for name in names if name and environ.get(name)))


def _push(folder: Path, url: str, token: str, environ: Mapping[str, str]) -> bool:
    """Run ``exaworks results push``; the token goes by the environment, never by the command line."""
    command = [*CLI, "results", "push", str(folder), "--to", url]
    return subprocess.run(command, env={**environ, TOKEN: token}, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _runs(system: System, places: Places, results: Path) -> list[tuple[Path, int]]:
    """Return the folders of the system's runs with the sequence of their closing, 0 where they are not closed.

    The work directory comes first; a run that is in the artifacts alone was made on another machine.
    """
    found: dict[str, tuple[Path, int]] = {}
    for pattern, root in (("*/manifest.json", places.runs), ("*/*/manifest.json", results)):
        for path in sorted(root.glob(pattern)):
            try:
                manifest: dict[str, Any] = json.loads(path.read_bytes())
                name = f"{manifest['site']}/{manifest['system']}"
                sequence = (manifest.get("closed") or {}).get("sequence", 0)
            except (OSError, ValueError, KeyError, AttributeError):
                continue  # the verdict has said that this run has no manifest to judge by
            if name == system.system:
                found.setdefault(path.parent.name, (path.parent.absolute(), sequence))
    return list(found.values())


class _Ledger:
    """Which closing of a run each collector has acknowledged. Losing it costs asking again, nothing more."""

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

    def everywhere(self, run: str, sequence: int) -> bool:
        return any(runs.get(run) == sequence for runs in self.all.values())


def delivered(places: Places, run: str, sequence: int) -> bool:
    """Say whether some collector has acknowledged this closing of the run."""
    return _Ledger(places.home / "ci-delivered.json", "").everywhere(run, sequence)
