"""Messages of Flux: its commands, brokers, job shell and the exceptions in a job's event log."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import PLAIN, SPECIFIC, Rule

_SOURCE = "flux-core, flux-submit(1)"

RULES: tuple[Rule, ...] = (
    Rule(
        "flux-unsatisfiable",
        r"unsatisfiable request|type=\"?unsatisfiable|alloc denied due to type=\"?unsatisfiable\"?|"
        r"unable to (?:satisfy|allocate) .*resources|insufficient resources",
        "Flux's instance does not have the requested resources",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "`flux resource list` prints what the instance has; correct nodes, cores and gpus in the site file",
        "flux-core, feasibility checks and sched-simple",
        "flux-run: ERROR: [Errno 22] unsatisfiable request",
        SPECIFIC,
    ),
    Rule(
        "flux-queue",
        r"(?:[Ii]nvalid|[Uu]nknown) queue '?(?P<queue>[\w.-]+)'?|flux\S* .*no queue specified|"
        r"Queue '?\S+'? (?:not found|is not configured)",
        "Flux has no such queue",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "correct `queues:` of the site file; `flux queue list` lists the queues",
        _SOURCE,
        "flux-submit: ERROR: [Errno 22] Invalid queue 'debg' specified",
        SPECIFIC,
    ),
    Rule(
        "flux-disabled",
        r"[Jj]ob submission (?:to \S+ )?is disabled|submission is disabled|queue \S* ?(?:is )?(?:stopped|disabled)|"
        r"Scheduling is stopped",
        "Flux accepts no jobs at the moment",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "`flux queue status` prints why; run again when the queue is enabled",
        "flux-core, flux-queue(1)",
        "flux-submit: ERROR: [Errno 22] job submission is disabled: down for maintenance",
        SPECIFIC,
    ),
    Rule(
        "flux-limit",
        r"exceeds? (?:the )?(?:policy )?limit|duration .*exceeds .*limit|requested (?:nodes|cores|gpus|duration) .*exceed|"
        r"max jobs limit exceeded|max resources? limit",
        "a limit of Flux does not admit the job",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "state nodes, walltime and `max_jobs:` of the queue in the site file; `flux queue list` prints the limits",
        "flux-core, policy limits; flux-accounting",
        "flux-submit: ERROR: [Errno 22] requested duration exceeds policy limit of 1h",
        SPECIFIC,
    ),
    Rule(
        "flux-account",
        r"user/(?:bank|default bank) (?:entry )?.*does not exist|cannot find flux-accounting entry|"
        r"not a member of .*bank|[Ii]nvalid bank|bank '?\S+'? (?:not found|is invalid)|user/bank is inactive",
        "Flux does not accept the bank",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "set the variable that `account_env:` of the site file names to a valid bank",
        "flux-accounting",
        "flux-submit: ERROR: [Errno 22] cannot find flux-accounting entry for uid/default bank",
        SPECIFIC,
    ),
    Rule(
        "flux-bindings",
        r"Python cannot import Flux's bindings in .+?: .*?(?:; install (?P<packages>[\w ]+) into the deployment|"
        r"; is Flux built for another version of Python)",
        "this deployment's Python cannot import Flux's bindings",
        CauseClass.DISTRIBUTION,
        Phase.LAUNCH,
        "the message names what to install into the deployment, or the Python for which Flux is built",
        "sdk_tests/payloads/_bindings.py",
        "ImportError: this deployment's Python cannot import Flux's bindings in /opt/flux/lib/flux/python3.11: No module "
        "named 'yaml'; install ply PyYAML into the deployment: /venv/bin/python -m pip install ply PyYAML",
        SPECIFIC,
    ),
    Rule(
        "flux-no-instance",
        r"[Uu]nable to connect to Flux|FLUX_URI.*(?:not set|unset|No such)|flux_open\S*:.*|"
        r"ERROR: flux_open|could not connect to (?:Flux|broker)|lookup-parent.*(?:error|fail)",
        "there is no Flux instance to connect to",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "check that the instance runs: `flux uptime`; a stale FLUX_URI of an instance that has ended must be unset",
        "flux-core, flux_open(3)",
        "flux-run: ERROR: Unable to connect to Flux: broker socket /tmp/flux-x/local-0 was not found",
        SPECIFIC,
    ),
    Rule(
        "flux-broker",
        r"(?:lost connection to|disconnected from) .*(?:broker|parent|peer)|broker\.(?:err|crit|alert|emerg)\[\d+\]: .+|"
        r"flux-broker: .*(?:fatal|failed|error|unable|cannot|invalid)|overlay.*(?:lost|offline|disconnect)|"
        r"node-failure|broker.*exited|rc1\S* .*(?:failed|[Ee]xited|rc=[1-9])|flux-start: .*(?:error|failed|exited|died)",
        "a broker of Flux failed",
        CauseClass.COMPONENT,
        Phase.LAUNCH,
        "read `flux dmesg`; brokers need a writable TMPDIR with a short path and an address that others reach",
        "flux-core, flux-broker(1)",
        "flux-start: 0 (pid 4711) exited with rc=1",
        PLAIN,
    ),
    Rule(
        "flux-shell",
        r"flux-shell\[\d+\]: (?:FATAL|ERROR): (?P<why>.+)|job shell exec error|exec error.*(?:shell|job)|"
        r"type=\"?exec\"? .*note=\"?(?P<note>.+)|flux-imp.*(?:fatal|not permitted|error)",
        "Flux's job shell could not start the program",
        CauseClass.COMPONENT,
        Phase.LAUNCH,
        "the message names the program or plugin: check that it exists on the node and can be executed",
        "flux-core, flux-shell(1)",
        "flux-shell[0]: FATAL: task 0: start failed: /no/such/program: No such file or directory",
        PLAIN,
    ),
    Rule(
        "flux-exception",
        r"job\.exception .*severity=0|\bexception type=\"?(?P<type>\w+)\"? severity=0|"
        r"exception.*\"severity\": ?0.*\"type\": ?\"(?P<kind>\w+)\"",
        "Flux raised an exception of type {type} for the job",
        CauseClass.SCHEDULER,
        Phase.QUEUE,
        "`flux job eventlog ID` prints the note of the exception",
        "flux-core, RFC 21: job states and events",
        '1700000000.123 exception type="alloc" severity=0 note="alloc denied"',
        PLAIN,
    ),
    Rule(
        "flux-permission",
        r"flux.*(?:EPERM|Operation not permitted|not (?:the )?instance owner|Permission denied)|"
        r"guest access .*denied|access_guest",
        "Flux does not let this user use the instance",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "use your own instance; the system instance needs flux-security and a valid user",
        "flux-core, flux-config-access(5)",
        "flux-submit: ERROR: [Errno 1] Operation not permitted",
        PLAIN,
    ),
    Rule(
        "flux-refused",
        r"flux-(?:submit|batch|run|alloc|bulksubmit): ERROR: (?P<why>.+)",
        "Flux refused the job",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "submit the same job by hand with `flux submit`; correct queue, bank and directives in the site file",
        "flux-core, flux-submit(1)",
        "flux-batch: ERROR: [Errno 22] the job was rejected by a validator of the instance",
        PLAIN,
    ),
)
