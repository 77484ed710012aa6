"""A scheduler other than Slurm refuses, stops answering, or answers garbage."""

import re

from tests.sabotage.breakage import Breakage

BEFORE_TESTBED = 'BIN="$D/bin"; '
"""A stand-in for a command of a testbed is found by payloads alone, in the deployment."""
SUBMIT = {"pbs": "qsub", "lsf": "bsub"}
EMULATED = {"pbs": "export PBS_EXEC=/nowhere; "}
"""Hides a real scheduler, so that the breakage is the same where one is installed: the harness then emulates it."""


def _dialect(scheduler: str, id: str, broken: str, setup: str, evidence: str, advice: str, **more: object) -> Breakage:
    given = {
        "run": "psij/hello",
        "outcome": "infra|fail",
        "cls": "scheduler|site",
        "scheduler": scheduler,
        "needs": ("flux",) if scheduler == "flux" else (),
        **more,
    }
    broken, setup = f"{scheduler}: {broken}", EMULATED.get(scheduler, "") + setup
    return Breakage(f"{scheduler}-{id}", "dialect", broken, setup, evidence=evidence, advice=advice, **given)  # type: ignore[arg-type]


def _refused(scheduler: str, id: str, words: str, advice: str) -> Breakage:
    """Return a submission that is refused with a message of the scheduler."""
    program = SUBMIT[scheduler]
    setup = f"{BEFORE_TESTBED}refusing {program} '{words}'"
    return _dialect(scheduler, id, f"{program} prints: {words}", setup, re.escape(words), advice)


def _flux(id: str, words: str, advice: str, **more: object) -> Breakage:
    """Return a submission that Flux refuses; its other commands work. Payloads and PSI/J submit with its bindings."""
    setup = f"""standin flux <<'END'
case " $* " in *" run "*|*" submit "*|*" batch "*|*" alloc "*) echo '{words}' >&2; exit 1;; esac
exec $REAL "$@"
END"""
    return _dialect("flux", id, f"flux prints: {words}", setup, re.escape(words), advice, **more)


BREAKAGES = [
    _refused("pbs", "queue", "qsub: Unknown queue", "queue"),
    _refused("pbs", "access", "qsub: Unauthorized Request", "access|may"),
    _refused("pbs", "limit", "qsub: Job violates queue and/or server resource limits", "limit|queue"),
    _refused("pbs", "hook", "qsub: hook rejected request", "hook"),
    _refused("pbs", "server", "qsub: cannot connect to server pbs01 (errno=111)", "server"),
    _refused("pbs", "resource", "qsub: Unknown resource Resource_List.gpuz", "directives|resource"),
    _dialect(
        "pbs",
        "qstat-answers-garbage",
        "qstat prints a page of a web server",
        BEFORE_TESTBED + "standin qstat <<<'echo \"<html>502 Bad Gateway</html>\"'",
        r"Failed to poll for job status",
        "qstat|scheduler|output",
        run="psij/short",
        outcome="infra|fail|error|refused",
        cls="scheduler|site|unknown",
    ),
    _refused("lsf", "queue", "debg: No such queue. Job not submitted.", "queue"),
    _refused("lsf", "project", "Invalid project: abc123. Job not submitted.", "project"),
    _refused("lsf", "esub", "Request aborted by esub. Job not submitted.", "bsub|site|project|queue"),
    _refused("lsf", "daemon", "batch daemon not responding ... still trying", "LSF|batch|daemon"),
    _flux(
        "unsatisfiable", "flux-run: ERROR: [Errno 22] unsatisfiable request", "node|core|resource", run="control/hello"
    ),
    _flux(
        "disabled",
        "flux-submit: ERROR: [Errno 22] job submission is disabled: maintenance",
        "queue|submission|wait",
        run="control/hello",
    ),
]
