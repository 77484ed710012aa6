"""Messages of PBS Professional, OpenPBS and Torque."""

from __future__ import annotations

from functools import partial

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule, refusal
from sdk_tests.diagnosis.text import Where

_SOURCE = "OpenPBS, pbs_error.h"
_refusal = partial(refusal, "pbs", _SOURCE)

RULES: tuple[Rule, ...] = (
    _refusal(
        "queue",
        r"Unknown queue(?: MSG=\S+)?|No default queue specified|Queue type not set",
        "PBS has no such queue",
        "correct `queues:` of the site file; `qstat -Q` lists the queues",
        "qsub: Unknown queue",
    ),
    _refusal(
        "queue-disabled",
        r"Queue is not enabled|Queue not enabled|Queue not running|qsub: .*not accepting jobs",
        "the queue does not accept jobs",
        "name another queue in the site file; `qstat -Qf` prints enabled and started",
        "qsub: Queue is not enabled",
    ),
    _refusal(
        "account",
        r"(?:Invalid|Unknown|Unknown/Invalid) [Aa]ccount\b|[Aa]ccount(?:ing)? .*(?:not valid|is required|not active)|"
        r"Request rejected\.\s+Reason: (?P<why>.+)|No (?:active )?allocation|[Pp]roject .*(?:not valid|is required)",
        "PBS does not accept the account",
        "set the variable that `account_env:` of the site file names to a valid account or project",
        "qsub: Invalid Account, MSG=account abc is not known",
    ),
    _refusal(
        "access",
        r"Unauthorized Request|Access to queue is denied|User .*not (?:allowed|authorized) .*queue|"
        r"Access from host not allowed|Bad [UG]ID for job execution|job has bad password",
        "PBS does not let this user submit there",
        "use a queue that you may use, from a host that may submit; ask the site for access",
        "qsub: Unauthorized Request",
    ),
    _refusal(
        "limit",
        r"Job exceeds queue(?: and/or server)? resource limits|Job violates queue and/or server resource limits|"
        r"would exceed .*limit|exceeds? .*(?:max_run|max_queued|resource) limits?|"
        r"Maximum number of jobs already in queue|not within (?:server|queue) (?:min|max)",
        "a limit of the queue does not admit the job",
        "state nodes, walltime and `max_jobs:` of the queue in the site file; `qstat -Qf` prints the limits",
        "qsub: Job violates queue and/or server resource limits",
    ),
    _refusal(
        "resource",
        r"Unknown resource|Illegal attribute or resource value|Undefined attribute|Invalid resource|"
        r"cannot have resource type|Resource .* not (?:valid|known)|Resource: (?P<resource>\S+) is required|"
        r"filesystems? .*(?:required|must be)",
        "PBS does not accept a requested resource",
        "correct `directives:` in the site file (for example `-l filesystems=…` where the site requires it)",
        "qsub: Unknown resource Resource_List.gpuz",
    ),
    _refusal(
        "option",
        r"qsub: (?:illegal|invalid|unrecognized) (?P<option>-\S+|option\S*)(?: value)?|qsub: directive error",
        "qsub does not know an option of the job",
        "report it to the component, or correct `directives:` of the site file if the option comes from there",
        "qsub: illegal -l value",
        cls=CauseClass.COMPONENT,
    ),
    Rule(
        "pbs-authentication",
        r"Invalid credential|Unable to authenticate|auth\w*: .*error returned|pbs_iff: |"
        r"Credential not authorized|munge_validate_auth_data",
        "PBS cannot authenticate this user",
        CauseClass.SITE,
        Phase.SUBMIT,
        "ask the site: pbs_iff or munge does not work on this host",
        _SOURCE,
        "pbs_iff: error returned: 15007",
        SPECIFIC,
    ),
    Rule(
        "pbs-server",
        r"(?:qsub|qstat|qdel|pbs\w+): .*(?:cannot connect to|Connection refused|could not connect to|cannot resolve)"
        r"|cannot connect to (?:PBS )?server(?: (?P<server>\S+))?|Communication failure|"
        r"(?:qsub|qstat|qdel): (?:End of File|Premature end of message|server .* not responding)|"
        r"(?:PBS )?[Ss]erver internal error|Batch protocol error|Server connection table full|No free connections|"
        r"(?:PBS l|Floating L)icense (?:is invalid|unavailable)|Could not contact Scheduler|qsub: System error|"
        r"Server shutting down|pbs_connect\w*.*(?:fail|error)|No Permission\.\s+qstat: cannot connect",
        "the PBS server does not answer",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "check `qstat -B`; run again when the server answers",
        _SOURCE,
        "qstat: cannot connect to server pbs01 (errno=111)",
        SPECIFIC,
    ),
    Rule(
        "pbs-never-runs",
        r"[Cc]an [Nn]ever [Rr]un: (?P<why>.+)",
        "PBS will never run the job",
        CauseClass.SCHEDULER,
        Phase.QUEUE,
        "request fewer nodes, cores or another queue in the site file: {why}",
        "OpenPBS, attribute comment of a job",
        "comment = Can Never Run: Insufficient amount of resource: ncpus (R: 99 A: 4 T: 4)",
        SPECIFIC,
    ),
    Rule(
        "pbs-held",
        r"Hold_Types = (?P<hold>[uosp]+)\b|job held, too many failed attempts to run|\bjob_state = H\b",
        "the job is held and will not start",
        CauseClass.SCHEDULER,
        Phase.QUEUE,
        "release it with `qrls ID`, or ask the site who holds it",
        "OpenPBS, qstat(1B)",
        "Hold_Types = s",
        SPECIFIC,
    ),
    Rule(
        "pbs-busy",
        r"comment = Not Running: (?P<why>.+)",
        "the queue is busy",
        CauseClass.SCHEDULER,
        Phase.QUEUE,
        "run again later, or raise `limits: queue_wait:` in the site file",
        "OpenPBS, attribute comment of a job",
        "comment = Not Running: Not enough free nodes available",
        GENERAL,
        where=(Where.SCHEDULER,),
    ),
    Rule(
        "pbs-killed",
        r"PBS: job killed: (?P<resource>mem|vmem|ncpus|cput) .*exceeded limit",
        "the job was killed because it used more {resource} than it requested",
        CauseClass.SITE,
        Phase.RUN,
        "request more of it in `directives:` of the site file",
        "OpenPBS, MoM's message in the job's output",
        "=>> PBS: job killed: mem 2097152kb exceeded limit 1048576kb",
        SPECIFIC,
    ),
    Rule(
        "pbs-start-failed",
        r"Job start failed|Failed to start the job|Post job file processing error|job could not be started|"
        r"Unable to copy file .*|hook \S+ rejected|request rejected by (?:filter|hook)|"
        r"comment = Job (?:run at|failed).*fail\w*|Exit_status = -(?:[1-9]|1\d)\b",
        "PBS could not start the job on its nodes",
        CauseClass.SITE,
        Phase.LAUNCH,
        "ask the site: MoM's log on the node names the reason (home folder, user, prologue)",
        "OpenPBS, MoM",
        "Exit_status = -3",
        PLAIN,
    ),
    _refusal(
        "refused",
        r"\bqsub: (?!usage|script file|Job ID)(?P<why>[A-Za-z].+)",
        "PBS refused the job",
        "submit the same job by hand with qsub; correct queue, account and directives in the site file. A hook of the "
        "site may have refused it: ask the site for its rules",
        "qsub: hook rejected request",
        PLAIN,
    ),
)
