"""An agent, worker or interchange dies at its start or in the middle, or hangs."""

from tests.sabotage.breakage import Breakage

AT_START = """sed -i '2i import sys; sys.exit("MESSAGE")' "$D/bin/SCRIPT" """


def _at_start(script: str, message: str) -> str:
    return AT_START.replace("MESSAGE", message).replace("SCRIPT", script)


def _kill(other: str, pattern: str, after: float) -> str:
    """Return commands that end processes of a payload with SIGKILL, some seconds after another of it has appeared."""
    return f"""( until pgrep -f '{other}' >/dev/null; do sleep 0.05; done
    sleep {after}; pkill -KILL -f '{pattern}' ) >/dev/null 2>&1 &"""


BREAKAGES = [
    Breakage(
        "interchange-ends-at-start",
        "process",
        "Parsl's interchange ends as soon as it is started",
        _at_start("interchange.py", "interchange: no endpoint"),
        "parsl/short",
        "fail",
        "distribution",
        evidence=r"interchange",
        advice="reinstall|interchange",
    ),
    Breakage(
        "worker-pool-ends-at-start",
        "process",
        "Parsl's worker pool ends as soon as it is started",
        _at_start("process_worker_pool.py", "worker pool: no address"),
        "parsl/short",
        "fail",
        "distribution",
        evidence=r"process_worker_pool",
        advice="reinstall|worker",
    ),
    Breakage(
        "worker-pool-hangs",
        "process",
        "Parsl's worker pool does nothing",
        "sed -i '2i import time; time.sleep(1000)' \"$D/bin/process_worker_pool.py\"",
        "parsl/short",
        "fail",
        "distribution",
        evidence=r"process_worker_pool",
        advice="reinstall|worker",
    ),
    Breakage(
        "worker-ends-in-the-middle",
        "process",
        "Parsl's worker ends when it runs a task",
        """sed -i 's/^def execute_task(/def execute_task(*_):\\n    import os; os._exit(9)\\n\\ndef unused(/' \\
        "$S"/parsl/executors/execute_task.py""",
        "parsl/short",
        "fail",
        "distribution",
        evidence=r"execute_task\.py|WorkerLost|lost",
        advice="reinstall|worker",
    ),
    Breakage(
        "agent-ends-at-start",
        "process",
        "RADICAL's agent ends as soon as it is started",
        _at_start("radical-pilot-agent_0", "agent: cannot start"),
        "radical.pilot/pilot",
        "fail",
        "distribution|component",
        evidence=r"radical-pilot-agent_0|agent: cannot start",
        advice="reinstall|agent",
    ),
    Breakage(
        "interchange-is-killed",
        "process",
        "something ends Parsl's interchange while the case runs",
        _kill("[p]rocess_worker_pool.py", "HTEX [i]nterchange|bin/[i]nterchange.py", 0.2),
        "parsl/htex:blocks=1",
        "fail|error|infra",
        "component|unknown|site",
        evidence=r"[Ii]nterchange|interchange.*(died|exit|killed)|-9",
        advice=".",
    ),
    Breakage(
        "import-hangs",
        "process",
        "the import of PSI/J waits for ever",
        """echo 'import time; time.sleep(10000)' >>"$S/psij/job.py" """,
        "psij/hello",
        "fail",
        "distribution|unknown",
        evidence=r"job\.py",
        advice=".",
    ),
    Breakage(
        "interchange-is-stopped",
        "process",
        "something stops Parsl's interchange, which stays there and answers nothing",
        """( for i in $(seq 600); do pkill -STOP -f "bin/[i]nterchange.py" && break; sleep 0.1; done ) &""",
        "parsl/short",
        "fail|error|infra",
        "component|unknown|site",
        evidence=r"[Ii]nterchange|heartbeat|time|did not|limit",
        advice=".",
    ),
    Breakage(
        "workers-are-killed",
        "process",
        "something kills Parsl's worker pool as often as it starts",
        """( for i in $(seq 900); do pkill -KILL -f "[p]rocess_worker_pool.py" || true; sleep 0.1; done ) &""",
        "parsl/short",
        "fail|error|infra",
        "component|unknown|site",
        evidence=r"[Mm]anager|[Ww]orker|killed|lost|block|SIGKILL",
        advice=".",
    ),
    Breakage(
        "agent-is-killed",
        "process",
        "something kills RADICAL's agent as often as it starts",
        """( for i in $(seq 900); do pkill -KILL -f "[r]adical-pilot-agent_0" || true; sleep 0.2; done ) &""",
        "radical.pilot/pilot",
        "fail|error|infra",
        "component|unknown|site",
        evidence=r"agent|[Kk]illed|pilot",
        advice=".",
    ),
]
