"""Messages of IBM Spectrum LSF and OpenLava."""

from __future__ import annotations

from functools import partial

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule, refusal
from sdk_tests.diagnosis.text import Where

_SOURCE = "LSF, bsub(1)"
_refusal = partial(refusal, "lsf", _SOURCE)

RULES: tuple[Rule, ...] = (
    _refusal(
        "queue",
        r"(?:(?P<queue>\S+): )?No such queue",
        "LSF has no such queue",
        "correct `queues:` of the site file; `bqueues` lists the queues",
        "debg: No such queue. Job not submitted.",
    ),
    _refusal(
        "queue-closed",
        r"Queue (?:has been closed|does not accept|is closed|\S+ does not accept)|Queue is not accepting",
        "the queue does not accept the job",
        "name another queue in the site file; `bqueues -l` prints what it accepts",
        "debug: Queue does not accept EXCLUSIVE jobs. Job not submitted.",
    ),
    _refusal(
        "account",
        r"(?:Bad|Unknown|Invalid) (?:LSF )?[Pp]roject|[Pp]roject .*(?:not valid|not found|does not exist|required)|"
        r"(?:is )?not (?:a|in an?) (?:valid|authorized) (?:project|account)|Invalid allocation|"
        r"[Aa]ccount .*(?:expired|not (?:valid|found))",
        "LSF does not accept the project",
        "set the variable that `account_env:` of the site file names to a valid project",
        "Invalid project: abc123. Job not submitted.",
    ),
    _refusal(
        "access",
        r"User cannot use (?:the )?queue|User permission denied|Request from a non-LSF host rejected|"
        r"Permission denied\. Job not submitted|user .*not (?:allowed|permitted) .*queue",
        "LSF does not let this user submit there",
        "use a queue that you may use, from a host that may submit",
        "User cannot use the queue. Job not submitted.",
    ),
    _refusal(
        "limit",
        r"Too (?:many|few) processors requested|Cannot exceed queue's hard limit|Bad \w+ specification\b|"
        r"Pending job threshold reached|[Jj]ob limit (?:of|reached)|exceeds? (?:the )?(?:queue|user|job)\S* limit|"
        r"Illegal job slot or host count|Specified (?:\w+ )?(?:run)?limit .*exceed",
        "a limit of the queue does not admit the job",
        "state nodes, walltime and `max_jobs:` of the queue in the site file; `bqueues -l` prints the limits",
        "Too many processors requested. Job not submitted.",
    ),
    _refusal(
        "resource",
        r"Bad resource requirement syntax|Bad host (?:name|specification)|Undefined resource|"
        r"Resource .*not defined",
        "LSF does not accept a requested resource",
        "correct `directives:` in the site file for this version of LSF",
        "Bad resource requirement syntax. Job not submitted.",
    ),
    _refusal(
        "option",
        r"(?P<option>-\S+): (?:Illegal|Unknown) option|Bad job name",
        "LSF does not accept an option of the job",
        "report it to the component, or correct `directives:` of the site file if the option comes from there",
        "-nnodes: Illegal option. Job not submitted.",
        cls=CauseClass.COMPONENT,
    ),
    Rule(
        "lsf-authentication",
        r"User authentication failed|eauth\b.*fail|External authentication failed|Authentication failed: |"
        r"Failed to obtain .*credential",
        "LSF cannot authenticate this user",
        CauseClass.SITE,
        Phase.SUBMIT,
        "ask the site: eauth does not work on this host",
        "LSF, lsb_error",
        "User authentication failed. Job not submitted.",
        SPECIFIC,
    ),
    Rule(
        "lsf-daemon",
        r"batch (?:system )?daemon not responding|LSF is down\. Please wait|LIM (?:is down|not responding)|"
        r"Slave LIM configuration is not ready|Failed in an? LSF library call|Cannot connect to LSF|"
        r"mbatchd.*(?:not respond|down)|Unable to contact LIM|ls_\w+: .*(?:down|refused|timed out)|"
        r"lsf\.conf.*(?:cannot|can't|No such file)",
        "LSF does not answer",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "check `lsid` and `badmin showstatus`; run again when LSF answers",
        "LSF, lserrno",
        "batch system daemon not responding ... still trying",
        SPECIFIC,
    ),
    Rule(
        "lsf-held",
        r"\bPSUSP\b|Job was suspended by (?:the user|LSF admin\w*|root) while pending|"
        r"The job (?:is|was) (?:suspended|held)",
        "the job is held and will not start",
        CauseClass.SCHEDULER,
        Phase.QUEUE,
        "release it with `bresume ID`, or ask the site who holds it",
        "LSF, bjobs(1)",
        "Job <12>, User <alice>, Status <PSUSP>",
        SPECIFIC,
    ),
    Rule(
        "lsf-busy",
        r"(?:Not enough|Not specified in) (?:slots|hosts|processors)[^;]*;|No eligible hosts|Job slot limit reached|"
        r"New job is waiting for scheduling|Load information unavailable|Closed by LSF administrator",
        "LSF has no free host for the job",
        CauseClass.SCHEDULER,
        Phase.QUEUE,
        "`bjobs -p ID` prints why; run again later, or raise `limits: queue_wait:` in the site file",
        "LSF, bjobs(1): pending reasons",
        "Not enough hosts to meet the job's spanning requirement;",
        GENERAL,
        where=(Where.SCHEDULER,),
    ),
    Rule(
        "lsf-out-of-memory",
        r"\bTERM_(?:MEMLIMIT|SWAP)\b|job killed after reaching LSF memory usage limit",
        "the job was killed because it used more memory than it requested",
        CauseClass.SITE,
        Phase.RUN,
        "request more memory in `directives:` of the site file",
        "LSF, bhist(1): termination reasons",
        "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.",
        SPECIFIC,
    ),
    Rule(
        "lsf-terminated",
        r"\b(?P<reason>TERM_(?:ADMIN|PREEMPT|BUCKET_KILL|EXTERNAL_SIGNAL|FORCE_ADMIN|ZOMBIE|LOAD|"
        r"WINDOW|PROCESSLIMIT|THREADLIMIT|FILELIMIT|CPULIMIT|UNKNOWN))\b",
        "the job was ended from outside ({reason})",
        CauseClass.SCHEDULER,
        Phase.RUN,
        "`bhist -l ID` prints who ended it and why",
        "LSF, bhist(1): termination reasons",
        "TERM_ADMIN: job killed by root or LSF administrator.",
        PLAIN,
    ),
    Rule(
        "lsf-start-failed",
        r"(?:Failed|Unable) to (?:start|launch|execute).*job|Exited; job initialization failure|"
        r"User does not exist on|Unable to (?:determine|find) (?:the )?(?:working directory|user)|jsm\w*: .*error|"
        r"Error: (?:Remote )?JSM|JSM .*(?:exited|not responding)",
        "LSF cannot start processes on the nodes",
        CauseClass.SITE,
        Phase.LAUNCH,
        "ask the site: the log of sbatchd on the node names the reason",
        "LSF, sbatchd; JSM",
        "Error: Remote JSM server is not responding on host batch2",
        PLAIN,
    ),
    _refusal(
        "refused",
        r"(?P<why>[^:]*)\. Job not submitted|Request aborted by esub|esub.*(?:reject|abort)",
        "LSF refused the job",
        "submit the same job by hand with bsub; correct queue, project and directives in the site file",
        "Request aborted by esub. Job not submitted.",
        PLAIN,
    ),
)
