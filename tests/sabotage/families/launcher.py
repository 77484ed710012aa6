"""A launcher is absent, refuses, or belongs to another MPI."""

from tests.sabotage.breakage import Breakage

WITHOUT_MPI = """overlay /usr/bin
rm -f /usr/bin/mpi* /usr/bin/orterun /usr/bin/prterun"""

PSIJ = "psij/launcher:launcher=mpirun"


def _launcher(id: str, broken: str, setup: str, evidence: str, **more: object) -> Breakage:
    given = {
        "run": PSIJ,
        "outcome": "infra|fail",
        "cls": "site",
        "advice": "mpi|launcher",
        "needs": ("mpich",),
        **more,
    }
    return Breakage(id, "launcher", broken, setup, evidence=evidence, **given)  # type: ignore[arg-type]


BREAKAGES = [
    _launcher(
        "no-mpirun",
        "there is no MPI launcher, and nobody promised one",
        WITHOUT_MPI,
        r"no mpirun on PATH",
        outcome="skip",
        rule="need-absent",
        advice="install mpich or openmpi|",
    ),
    _launcher(
        "no-launcher-for-a-service",
        "there is no MPI launcher for the service of RADICAL",
        WITHOUT_MPI,
        r"no MPI launcher",
        run="radical.pilot/service",
        outcome="skip",
        rule="need-absent",
        advice="",
    ),
    _launcher(
        "promised-launcher-absent",
        "the launcher that the site file names is not there",
        'id=$("$PY" -I -m exaworks_sdk testbed up slurm | tail -1); id=${id##* }\n'
        'eval "$("$PY" -I -m exaworks_sdk testbed env "$id")"; unset EXAWORKS_TESTBED',
        r"no `mpiexec.gone` on PATH.*site file",
        run="psij/multi_node",
        site="schedulers: [{kind: slurm, exclusive: false, launchers: [{name: mpiexec.gone}]}]\n",
        scheduler="slurm",
        outcome="fail",
        rule="promised-need-absent",
        needs=("slurm", "munge"),
    ),
    _launcher(
        "mpirun-refuses",
        "mpirun refuses to start processes",
        "refusing mpirun 'There are not enough slots available in the system to satisfy the 2 slots requested'",
        r"not enough slots",
    ),
    _launcher(
        "mpirun-lacks-a-library",
        "mpirun lacks a shared library",
        "refusing mpirun 'mpirun: error while loading shared libraries: libmpi.so.40: cannot open shared object file: "
        "No such file or directory'",
        r"libmpi\.so\.40",
        cls="site|distribution",
        advice="librar|module|mpi",
    ),
    _launcher(
        "mpirun-not-executable",
        "mpirun is a file of another machine",
        r"""printf '\177ELF\2\1\1' >"$T/bin/mpirun"; chmod 755 "$T/bin/mpirun" """,
        r"[Ee]xec format error|cannot execute binary file",
        cls="site|distribution",
        advice="architecture|processor|mpi",
    ),
    _launcher(
        "mpirun-of-another-mpi",
        "mpirun belongs to another MPI: it starts processes of which each is alone",
        """standin mpirun <<'END'
while [ "${1#-}" != "$1" ]; do [ "$1" = -n ] || [ "$1" = -np ] && count=$2 && shift; shift; done
for ((i = 1; i < count; i++)); do env -u PMI_RANK "$@" & done
env -u PMI_RANK "$@"; code=$?
wait
exit $code
END""",
        r"do not know each other",
    ),
    _launcher(
        "srun-refuses",
        "srun refuses to create a step",
        """standin srun <<'END'
case $* in *hello.py*) exec $REAL "$@";; esac
[ -n "$SLURM_JOB_ID" ] || exec $REAL "$@"
echo 'srun: error: Unable to create step for job 7: Requested node configuration is not available' >&2
exit 1
END""",
        r"Unable to create step",
        run="psij/launcher:launcher=srun",
        scheduler="slurm",
        cls="site|scheduler",
        needs=("slurm", "munge"),
        advice=".",
    ),
    _launcher(
        "mpirun-hangs", "mpirun waits for ever", "standin mpirun <<<'exec sleep 900'", r"mpirun.*did not end within"
    ),
    _launcher(
        "mpirun-crashes",
        "mpirun dies of a segmentation fault",
        "standin mpirun <<<'kill -SEGV $$'",
        r"mpirun does not start.*SIGSEGV",
    ),
    _launcher(
        "mpirun-knows-no-option",
        "mpirun does not know an option that every MPI has",
        "refusing mpirun 'mpirun: unrecognized argument n'",
        r"unrecognized argument",
    ),
]
