"""The types of the single values in a site file: text with limits, and enumerations."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

Text = Annotated[str, Meta(pattern=r"\S", description="some text")]
Name = Annotated[str, Meta(pattern=r"^\S+$", description="a name without spaces")]
SystemName = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9_-]*$",
        description="a name SITE/SYSTEM in small letters, digits, - and _",
    ),
]
Duration = Annotated[
    str, Meta(pattern="^[0-9]{1,6}:[0-5][0-9]:[0-5][0-9]$", description="a duration HH:MM:SS such as 00:30:00")
]
Date = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="a date YYYY-MM-DD")]
Count = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]
Whole = Annotated[int, Meta(ge=0, description="a whole number, 0 or more")]
Positive = Annotated[float, Meta(gt=0, description="a number above 0")]
Percent = Annotated[float, Meta(ge=0, description="a number of percent, 0 or more")]
Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable")]
Address = Annotated[
    str, Meta(pattern="^https?://[^/\\s]", description="an address that starts with http:// or https://")
]
Tier = Annotated[str, Meta(pattern="^(full|minimal)$", description="a redaction tier: full or minimal")]
Reservation = Annotated[
    str, Meta(pattern=r"^([^\s$]+|\$[A-Za-z_][A-Za-z0-9_]*)$", description="the name of a reservation, or $VARIABLE")
]


Glibc = Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]+$", description="a version in quotes, such as '2.28'")]


class State(str, enum.Enum):
    """Whether the machine exists; a retired system is planned only in rehearsals."""

    ACTIVE = "active"
    RETIRED = "retired"


class Match(str, enum.Enum):
    """How the patterns of host names and environment combine if a file gives both."""

    ALL = "all"
    """A host name and every variable must match."""
    ANY = "any"
    """A host name or every variable must match: for sites where login nodes of every machine are named ``login07``."""


class LauncherKind(str, enum.Enum):
    """The kind of options that a launcher takes; the name of the command implies it for all but ``mpiexec``."""

    SRUN = "srun"
    """Slurm's ``srun``."""
    FLUX = "flux"
    """``flux run``."""
    PALS = "pals"
    """The ``mpiexec`` of HPE's Parallel Application Launch Service."""
    JSRUN = "jsrun"
    """IBM's ``jsrun``, with resource sets."""
    LRUN = "lrun"
    """LLNL's front end of ``jsrun``."""
    APRUN = "aprun"
    """``aprun`` of Cray's ALPS."""
    MPIEXEC = "mpiexec"
    """The options that the MPI standard recommends, such as ``-n``."""


class Dialect(str, enum.Enum):
    """What an LSF understands; ``exaworks sites new`` finds it out."""

    CSM = "csm"
    """Jobs request whole nodes (``bsub -nnodes``): LSF with IBM's Cluster System Manager, as on Summit and Lassen."""
    SLOTS = "slots"
    """Jobs request job slots (``bsub -n``, ``span[ptile=]``): any other LSF from 10.1.0.3 on."""
    CLASSIC = "classic"
    """Job slots, and neither ``bjobs -json`` nor ``bsub -rn``: OpenLava, and LSF before 10.1.0.3."""


class ProxyUse(str, enum.Enum):
    """On which nodes the proxy must be used."""

    EVERYWHERE = "everywhere"
    COMPUTE = "compute"
    """On compute nodes only: login nodes have direct access, and the proxy does not serve them."""


class Trigger(str, enum.Enum):
    """What starts the scheduled runs of a system."""

    GITLAB = "gitlab"
    CRON = "cron"
    SCRONTAB = "scrontab"
    """Slurm's own crontab, for sites that forbid cron on login nodes."""
    NONE = "none"
    """Nothing: runs are started by hand."""


class OnInfra(str, enum.Enum):
    """The result of a pipeline for a run in which only the site's infrastructure failed."""

    FAIL = "fail"
    WARN = "warn"


def seconds(duration: str) -> int:
    """Turn ``HH:MM:SS`` (hours may exceed 24) into seconds.

    Raises:
        ValueError: the text is not three numbers with minutes and seconds below 60.
    """
    parts = duration.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise ValueError(f"{duration!r} is not a duration HH:MM:SS")
    hours, minutes, rest = (int(part) for part in parts)
    if minutes > 59 or rest > 59:
        raise ValueError(f"{duration!r} has minutes or seconds above 59")
    return hours * 3600 + minutes * 60 + rest
