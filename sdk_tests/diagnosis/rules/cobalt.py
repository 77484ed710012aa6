"""Messages of Cobalt."""

from __future__ import annotations

from functools import partial

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import PLAIN, SPECIFIC, Rule, refusal

_SOURCE = "Cobalt, qsub(1), filters of the site"
_refusal = partial(refusal, "cobalt", _SOURCE)

RULES: tuple[Rule, ...] = (
    _refusal(
        "queue",
        r"[Qq]ueue '?(?P<queue>[\w.-]*)'? (?:does not exist|is not defined|is unknown)|"
        r"No queue (?:named|matching)|(?:was )?[Qq]ueue '?\S+'? is (?:stopped|dead|draining|not (?:running|open))",
        "Cobalt has no such queue, or it is closed",
        "correct `queues:` of the site file; `qstat -Q` lists the queues",
        "XMLRPC failure in queue-manager.add_jobs: queue 'debg' does not exist",
    ),
    _refusal(
        "account",
        r"[Pp]roject '?(?P<project>[\w.-]*)'? (?:is )?not (?:valid|found|active)|not a member of (?:the )?project|"
        r"[Pp]roject \S+ has no (?:active )?allocation|Could not find project",
        "Cobalt does not accept the project",
        "set the variable that `account_env:` of the site file names to a valid project",
        "user alice is not a member of project abc",
    ),
    _refusal(
        "limit",
        r"[Ww]alltime (?:greater|less) than the|node ?count out of realistic range|"
        r"The limit of \d+ jobs per user|exceed(?:s|ed) .*(?:max|maximum|limit).*queue|"
        r"[Nn]ot enough nodes|number of nodes .*(?:greater|exceeds)",
        "a limit of the queue does not admit the job",
        "state nodes, walltime and `max_jobs:` of the queue in the site file; `qstat -Q -l` prints the limits",
        "Walltime greater than the 'debug' queue max of 01:00:00",
    ),
    _refusal(
        "option",
        r"Improperly formatted argument|invalid time specification|'(?:time|nodecount)' not provided|"
        r"jobid must be an integer",
        "Cobalt does not accept an option of the job",
        "report it to the component, or correct `directives:` of the site file if the option comes from there",
        "'nodecount' not provided",
        cls=CauseClass.COMPONENT,
    ),
    Rule(
        "cobalt-daemon",
        r"[Ff]ailed to connect to (?P<daemon>queue-manager|service-locator|system|\S*manager)|"
        r"[Cc]an(?:'t|not) connect to (?:the )?(?:queue manager|service locator)|component error: .*[Cc]onnect",
        "Cobalt does not answer",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "check `qstat`; run again when Cobalt answers",
        "Cobalt, component proxies",
        "component error: Failed to connect to queue-manager: connection refused",
        SPECIFIC,
    ),
    Rule(
        "cobalt-held",
        r"State\s*: (?P<hold>\w*_hold\w*)|\b(?P<state>(?:user|admin|dep|maxrun|preempted)_hold)\b",
        "the job is held and will not start",
        CauseClass.SCHEDULER,
        Phase.QUEUE,
        "release it with `qrls ID`, or ask the site who holds it",
        "Cobalt, qstat(1)",
        "State     : admin_hold",
        SPECIFIC,
    ),
    _refusal(
        "refused",
        r"XMLRPC failure in queue-manager\.add_jobs: (?P<why>.+)|(?:qsub: )?[Ff]ilter \S+ failed",
        "Cobalt refused the job",
        "submit the same job by hand with qsub; correct queue, project and directives in the site file",
        "component error: XMLRPC failure in queue-manager.add_jobs: not permitted",
        PLAIN,
    ),
)
