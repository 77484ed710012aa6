"""For sites without a runner: a script that validates, judges and delivers, and the line that starts it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from pathlib import Path

from ci.errors import NoPipelineError, SiteValueError
from ci.limits import main_scheduler, stage_times
from ci.phases import Phase, planned
from ci.shell import script
from ci.system import home
from site_configs.schema import State, System, seconds
from site_configs.values import Trigger

HOUR = 3600
DAY = 24 * HOUR


def entry(system: System, command: Path, environ: Mapping[str, str], *, scron: bool, tier: str) -> str:
    """Return the lines for ``crontab -e``, or for ``scrontab -e`` with the options Slurm wants of such a job.

    Raises:
        NoPipelineError: the system is retired, or nobody said how often it runs.
        SiteValueError: the path of the script cannot stand in a crontab.
    """
    _check(system)
    path = str(command)
    if "%" in path or any(character.isspace() for character in path):
        raise SiteValueError(f"{path}: cron reads % and spaces in its own way; choose another path with --to.")
    lines = [f"# {system.system}, tier {tier}, every {system.cadence}"]
    if scron:
        lines += [f"#SCRON {option}" for option in _scron_options(system, environ, tier)]
    return "\n".join([*lines, f"{when(system)} {path}"]) + "\n"


def when(system: System) -> str:
    """Return cron's five fields for the cadence: the nearest that cron can say and not rarer than asked for.

    The minute and the hour follow from the system's name, so that sites do not all start at once.
    """
    digest = hashlib.sha256(system.system.encode()).digest()
    minute, night, weekday = digest[0] % 60, digest[1] % 6, digest[2] % 7
    cadence = seconds(system.cadence or "24:00:00")
    if cadence >= 7 * DAY:
        return f"{minute} {night} * * {weekday}"
    if cadence >= 2 * DAY:
        days = ",".join(str((weekday + step) % 7) for step in range(0, 7, cadence // DAY))
        return f"{minute} {night} * * {','.join(sorted(days.split(',')))}"
    if cadence >= DAY:
        return f"{minute} {night} * * *"
    every = max((hours for hours in (1, 2, 3, 4, 6, 8, 12) if hours * HOUR <= cadence), default=1)
    return f"{minute} {'*' if every == 1 else f'*/{every}'} * * *"


def cron_script(system: System, checkout: Path, *, tier: str) -> str:
    """Return the script. It runs under an empty environment, and two of them never at once.

    Raises:
        NoPipelineError: the system is retired, or nobody said how often it runs.
    """
    _check(system)
    stages = planned(system, tier, scheduled=True)
    lines = [
        "#!/bin/sh",
        f"# {system.system}: made by `exaworks ci cron --site {system.system}`; make it again after a change.",
        "# Tokens and accounts: NAME=value lines in ~/.config/exaworks/ci.env, readable by you alone.",
        "set -u",
        script("cron.sh").rstrip(),
        home(system),
        f"export EXAWORKS_TIER={tier} EXAWORKS_TRIGGER=schedule",
        f"exaworks={shlex.quote(str(checkout / 'exaworks'))}",
        f"system={system.system}",
        script("once.sh").rstrip(),
        *(f"stage {shlex.join(_words(phase))}" for phase in stages),
        "finish",
    ]
    return "\n".join(lines) + "\n"


def wants_scron(system: System) -> bool:
    """Say whether the site file chooses Slurm's crontab."""
    return system.ci.trigger is Trigger.SCRONTAB


def _words(phase: Phase) -> list[str]:
    return [phase.name, *(["--after", phase.after] if phase.after else []), "--", *phase.argv]


def missing_account(system: System, environ: Mapping[str, str]) -> str | None:
    """Return the variable that has to hold the account, where it does not."""
    spec = main_scheduler(system)
    name = spec.account_env if spec is not None else None
    return name if name and not environ.get(name) else None


def _scron_options(system: System, environ: Mapping[str, str], tier: str) -> list[str]:
    spec = main_scheduler(system)
    total = sum(stage_times(system, phase.name).job for phase in planned(system, tier, scheduled=True) if phase.tests)
    options = [
        f"--time={total // HOUR:02}:{total % HOUR // 60:02}:00",
        "--open-mode=append",
        f"--job-name=exaworks-{system.name}",
    ]
    if spec is not None and spec.account_env:
        account = environ.get(spec.account_env)
        options += [f"--account={account}"] if account else []
    return options + [str(option) for option in system.extras.get("scrontab", [])]


def _check(system: System) -> None:
    if system.state is State.RETIRED:
        raise NoPipelineError(f"{system.system} is retired: it is planned in rehearsals only and runs nothing.")
    if system.cadence is None:
        raise NoPipelineError(f"{system.system}: how often? give cadence in its site file.")
