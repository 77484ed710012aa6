"""A simulated machine for the tests: a PATH with programs that print the output documented in the manuals."""

from __future__ import annotations

import shutil
from pathlib import Path

SINFO = """\
#!/bin/sh
case "$*" in
  --version) echo "slurm 24.11.5" ;;
  *--Node*) printf 'node%s\\n' 1 2 3 4 ;;
  *) cat <<'END'
debug*|up|30:00|1-4|4|128+|257000+|gpu:a100:4|EXCLUSIVE
batch|up|2-00:00:00|1-infinite|3|128|257000|gpu:a100:4|EXCLUSIVE
batch|up|2-00:00:00|1-infinite|1|64|515000|(null)|EXCLUSIVE
shared|down|infinite|1|1|128|257000|(null)|YES:4
END
  ;;
esac
"""
"""Slurm, https://slurm.schedmd.com/sinfo.html: format %P|%a|%l|%s|%D|%c|%m|%G|%h, one line for each kind of node."""

FLUX = """\
#!/bin/sh
case "$*" in
  version) printf 'commands:    \\t\\t0.88.0\\nlibflux-core:\\t\\t0.88.0\\n' ;;
  "queue list"*) cat <<'END'
pbatch|pbatch*|enabled|86400.0|0-256
pdebug|pdebug|enabled|1h|1-16
pall|pall|disabled|inf|0-inf
END
  ;;
  "resource list"*) printf '1150|110400|4600\\n2|192|8\\n0|0|0\\n' ;;
  *) echo "flux: no such command: $*" >&2; exit 1 ;;
esac
"""
"""Flux, flux-queue(1) and flux-resource(1): the formats of the probe, one line for each queue or state."""

QSTAT_JSON = """\
#!/bin/sh
case "$*" in
  "-Q -f -F json") cat <<'END'
{"timestamp": 1700000000, "pbs_version": "23.06.06", "pbs_server": "pbs", "Queue": {
  "debug": {"queue_type": "Execution", "total_jobs": 0, "enabled": "True", "started": "True",
    "max_run": "[u:PBS_GENERIC=1]", "max_queued": "[u:PBS_GENERIC=1]",
    "resources_max": {"nodect": 2, "walltime": "01:00:00"}, "resources_min": {"nodect": 1, "walltime": "00:05:00"}},
  "prod": {"queue_type": "Route", "enabled": "True", "started": "True", "max_run": "[o:PBS_ALL=10]",
    "route_destinations": "small,large", "resources_min": {"nodect": "10"}},
  "off": {"queue_type": "Execution", "enabled": "False", "started": "True"}}}
END
  ;;
  "-B -f -F json") cat <<'END'
{"Server": {"pbs": {"server_state": "Active", "default_queue": "debug", "pbs_version": "23.06.06"}}}
END
  ;;
  *) echo "qstat: illegal option" >&2; exit 2 ;;
esac
"""
"""OpenPBS, qstat(1B), -F json."""

QSTAT_TEXT = """\
#!/bin/sh
case "$*" in
  *json*) echo "qstat: invalid option -- 'F'" >&2; exit 2 ;;
  "-Q -f") cat <<'END'
Queue: workq
    queue_type = Execution
    resources_max.nodect = 8
    resources_max.walltime = 24:00:00
    acl_groups = alpha,beta,
\tgamma
    enabled = True
    started = True

Queue: express
    queue_type = Execution
    enabled = True
END
  ;;
  "-B -f") printf 'Server: pbs\\n    default_queue = workq\\n    pbs_version = 14.1.2\\n' ;;
esac
"""
"""PBS, qstat(1B): the long format, as servers without JSON print it."""

BQUEUES = """\
#!/bin/sh
[ "$*" = -l ] || { echo "bqueues: $*: No such queue" >&2; exit 255; }
cat <<'END'

QUEUE: pdebug
  -- For short jobs.  This is the default queue.

PARAMETERS/STATISTICS
PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV PJOBS
 30    0  Open:Active       -    -    -    -     0     0     0     0     0    0     0

DEFAULT LIMITS:

 RUNLIMIT
 30.0 min

MAXIMUM LIMITS:

 RUNLIMIT
 120.0 min of host1

SCHEDULING POLICIES:  EXCLUSIVE

QUEUE: pbatch
  -- No description provided.

PARAMETERS/STATISTICS
PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV PJOBS
 20    0  Closed:Inact      -    -    -    -     9     4     5     0     0    0     0

 RUNLIMIT
 720.0 min
END
"""
"""LSF, Command Reference, bqueues, option -l."""

LSID = "#!/bin/sh\necho 'IBM Spectrum LSF Standard 10.1.0.13, Apr 15 2022'\n"

BJOBS = """\
#!/bin/sh
case " $* " in *" -json "*) ;; *) exit 255 ;; esac
echo '{ "COMMAND":"bjobs", "JOBS":0, "RECORDS":[] }'
"""
"""LSF from 10.1.0.3 on, without jobs."""

OPENLAVA = {
    "lsid": "#!/bin/sh\necho 'openlava project 2.2, Nov 29 2026'\n",
    "bjobs": "#!/bin/sh\nprintf \"bjobs: invalid option -- 'j'\\nUsage: bjobs [-h] [-V] [-w |-l]\\n\" >&2; exit 255\n",
}
"""OpenLava 2.2: its name, and how it refuses -json."""

LMOD = """\
#!/bin/sh
# Lmod prints --terse avail to standard error: a folder, then one module a line; defaults have a mark.
[ "$1 $2 $3" = "bash --terse avail" ] || exit 1
printf '/opt/modules:\\n' >&2
case "$4" in
  gcc*) printf 'gcc/\\ngcc/12.2\\ngcc/13.1(default)\\n' >&2 ;;
  special) case ":$MODULEPATH:" in *:/soft/extra:*) printf 'special/1.0\\n' >&2 ;; esac ;;
esac
"""
"""Lmod, lmod.readthedocs.io: the command that the shell function `module` runs."""


def machine(folder: Path, programs: dict[str, str], **variables: str) -> dict[str, str]:
    """Return an environment whose PATH has only these programs and the commands that they run."""
    programs_folder = folder / "bin"
    programs_folder.mkdir()
    for name in ("cat", "sleep"):
        (programs_folder / name).symlink_to(str(shutil.which(name)))
    for name, text in programs.items():
        (programs_folder / name).write_text(text)
        (programs_folder / name).chmod(0o755)
    return {"PATH": str(programs_folder), "HOME": str(folder), **variables}
