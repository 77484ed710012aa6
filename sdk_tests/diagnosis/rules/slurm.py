"""Messages of Slurm: refusals of a submission, and what it reports about a job."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule
from sdk_tests.diagnosis.text import Where

_SOURCE = "Slurm, slurm_errno(3)"
_REASON = "Slurm, squeue(1): job reason codes"
SITE, SCHEDULER, SUBMIT, QUEUE, RUN = (
    CauseClass.SITE,
    CauseClass.SCHEDULER,
    Phase.SUBMIT,
    Phase.QUEUE,
    Phase.RUN,
)

_OPTION = (
    r"(?:unrecognized option|invalid option|Invalid --\S+|Invalid numeric value|Invalid directive|ambiguous option)"
    r"[^'\w]*(?P<option>--?[\w-]+)?"
)

RULES: tuple[Rule, ...] = (
    Rule(
        "slurm-account",
        r"Invalid account or account/partition combination|[Ii]nvalid account\b|InvalidAccount\b",
        "Slurm does not accept the account",
        SCHEDULER,
        SUBMIT,
        "set the variable that `account_env:` of the site file names to a valid account; "
        "`sacctmgr show assoc user=$USER` lists yours",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
        SPECIFIC,
    ),
    Rule(
        "slurm-qos",
        r"Invalid qos specification|[Ii]nvalid QOS\b|InvalidQOS\b",
        "Slurm does not accept the QOS",
        SCHEDULER,
        SUBMIT,
        "correct `qos:` of the queue in the site file; `sacctmgr show assoc user=$USER format=qos` lists the valid ones",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Invalid qos specification",
        SPECIFIC,
    ),
    Rule(
        "slurm-partition",
        r"[Ii]nvalid partition(?: name)? specified(?:: (?P<partition>\S+))?|"
        r"No partition specified or system default partition",
        "Slurm has no such partition",
        SCHEDULER,
        SUBMIT,
        "correct `queues:` of the site file; `sinfo -s` lists the partitions",
        _SOURCE,
        "sbatch: error: invalid partition specified: debg",
        SPECIFIC,
    ),
    Rule(
        "slurm-access",
        r"User's group not permitted to use this partition|Access/permission denied|"
        r"(?:Batch job submission failed|Unable to allocate resources): Access denied|"
        r"job_submit\w*.*(?:denied|rejected|not permitted)",
        "Slurm does not let this user submit there",
        SCHEDULER,
        SUBMIT,
        "use a partition that your groups may use, or ask the site for access",
        _SOURCE,
        "sbatch: error: Batch job submission failed: User's group not permitted to use this partition",
        SPECIFIC,
    ),
    Rule(
        "slurm-time-limit",
        r"Requested time limit is invalid|Time limit specification required|Invalid time-min specification|"
        r"\bPartitionTimeLimit\b|time limit .*exceeds.*partition",
        "the walltime is longer than the partition allows",
        SCHEDULER,
        SUBMIT,
        "state `max_walltime:` of the queue in the site file; `scontrol show partition` prints MaxTime",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
        SPECIFIC,
    ),
    Rule(
        "slurm-node-count",
        r"Node count specification invalid|Requested node configuration is not available|\bPartitionNodeLimit\b|"
        r"More processors requested than permitted|Requested nodes are busy|BadConstraints\b|"
        r"Requested more tasks than available processors|(?:CPU|Task) count specification invalid|"
        r"Requested nodes not in this partition|Job size specification needs to be provided|"
        r"Immediate execution impossible",
        "the partition does not have or allow so many nodes or cores",
        SCHEDULER,
        SUBMIT,
        "state `min_nodes:` and `max_nodes:` of the queue and `usable_cores:` of the node in the site file",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        SPECIFIC,
    ),
    Rule(
        "slurm-policy",
        r"Job violates accounting/QOS policy|Step limit reached for this job|QOS usage threshold|"
        r"Burst Buffer resource limit exceeded|\b(?P<limit>(?:QOS|Assoc)(?:Max|Grp|Min)\w+)\b",
        "a limit of the account or QOS does not admit the job",
        SCHEDULER,
        SUBMIT,
        "lower `max_jobs:` or the walltime in the site file; `sacctmgr show qos` prints the limits",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, "
        "user's size and/or time limits)",
        SPECIFIC,
    ),
    Rule(
        "slurm-reservation",
        r"Requested reservation is (?:invalid|in use)|Requested reservation not usable|\bReservationDeleted\b|"
        r"[Aa]ccess.* to (?:the )?reservation|Reservation has \w* ?expired",
        "the reservation cannot be used",
        SCHEDULER,
        SUBMIT,
        "correct or remove `reservation:` in the site file; `scontrol show reservation` lists them",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Requested reservation is invalid",
        SPECIFIC,
    ),
    Rule(
        "slurm-feature",
        r"Invalid feature specification|Invalid generic resource \(gres\) specification|"
        r"Memory specification can not be satisfied|Memory required by task is not available|"
        r"Invalid (?:license|constraint|cluster name|preferred feature|GRES|Trackable RESource)\w*|"
        r"Duplicate generic resource|Insufficient GRES available|Burst Buffer permission denied",
        "a requested feature, resource or memory does not exist",
        SCHEDULER,
        SUBMIT,
        "correct `directives:` in the site file; `scontrol show node` prints features, gres and memory, "
        "`scontrol show license` the licenses",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Invalid feature specification",
        SPECIFIC,
    ),
    Rule(
        "slurm-option",
        r"(?:sbatch|squeue|scancel|sacct)\S*:? (?:error: )?" + _OPTION,
        "Slurm does not know an option of the job",
        CauseClass.COMPONENT,
        SUBMIT,
        "report it to the component, or correct `directives:` of the site file if the option comes from there",
        "Slurm, sbatch(1)",
        "sbatch: unrecognized option '--qoss=debug'",
        SPECIFIC,
    ),
    Rule(
        "slurm-launcher-option",
        r"(?:srun|salloc)\S*:? (?:error: )?" + _OPTION,
        "srun does not know one of its options",
        SCHEDULER,
        SUBMIT,
        "correct `launchers:` and `directives:` in the site file for this version of Slurm",
        "Slurm, srun(1)",
        "srun: unrecognized option '--mpi-type=pmi2'",
        SPECIFIC,
    ),
    Rule(
        "slurm-authentication",
        r"Protocol authentication error|[Mm]unge (?:encode|decode) failed|Invalid authentication credential|"
        r"munged? .*(?:Failed to access|No such file|Permission denied)|"
        r"\b(?:Rewound|Expired|Replayed|Unauthorized) credential|auth_munge|Failed to connect to .*munge|"
        r"authentication plugin|Security violation|Authentication credential invalid|"
        r"Failed to (?:connect to authentication agent|open authentication public key)|Error generating job credential",
        "Slurm's authentication (munge) does not work",
        SITE,
        SUBMIT,
        "check munge on this node and on the controller: `munge -n | unmunge`; keys and clocks must agree",
        "Slurm, plugin auth/munge; munge(7)",
        "sbatch: error: Batch job submission failed: Protocol authentication error",
        SPECIFIC,
    ),
    Rule(
        "slurm-accounting",
        r"Slurm accounting storage is disabled|slurmdbd.*(?:Connection refused|not respond)|"
        r"Unable to contact slurm database|slurm_persist_conn_open|Unable to connect to database|Problem talking to the database",
        "Slurm's accounting does not answer",
        SCHEDULER,
        Phase.COLLECT,
        "check slurmdbd, the database daemon, with `sacctmgr show cluster`; sacct, and accounts at submission, need it",
        "Slurm, sacct(1)",
        "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection: Unable to connect "
        "to database",
        SPECIFIC,
    ),
    Rule(
        "slurm-controller",
        r"Unable to contact slurm controller|Unable to establish control|[Ss]lurm controller.*(?:not respond|DOWN)|"
        r"slurm\S*(?: error)?:.*(?:Connection refused|Socket timed out|Zero Bytes|No route to host)|"
        r"Zero Bytes were transmitted or received|Socket timed out on send/recv|Slurmctld\(primary\).* (?:is|are) DOWN|"
        r"Slurm temporarily unable to accept job|ontroller (?:is )?in standby mode|Communication connection failure|"
        r"Unable to create job record, try again|Slurm internal error",
        "Slurm's controller does not answer",
        SCHEDULER,
        SUBMIT,
        "check `scontrol ping`; run again when the controller answers",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        SPECIFIC,
    ),
    Rule(
        "slurm-configuration",
        r"Could not establish a configuration source|resolve_ctls_from_dns_srv|Unable to process configuration file|"
        r"(?:s_p_parse_file|_parse_next_key).*|Parsing error at unrecognized key|fatal: .*slurm\.conf|"
        r"Incompatible versions of client and server|protocol_version .* (?:not supported|mismatch)",
        "Slurm's commands are not configured on this machine",
        SITE,
        SUBMIT,
        "check SLURM_CONF and that slurm.conf is readable and of the controller's version",
        "Slurm, slurm.conf(5)",
        "sbatch: fatal: Could not establish a configuration source",
        SPECIFIC,
    ),
    Rule(
        "slurm-unavailable",
        r"\b(?:PartitionDown|PartitionInactive|ReqNodeNotAvail)\b|due to maintenance reservation|"
        r"Required (?:partition|node)s? not available|"
        r"Nodes required for job are DOWN, DRAINED|Requested partition.*(?:down|not available|inactive)|"
        r"Required node not available \(down, drained or reserved\)|partition \S+ (?:is )?(?:not available|inactive|down)",
        "the partition or its nodes are down or reserved",
        SCHEDULER,
        QUEUE,
        "`sinfo -R` prints why nodes are down or drained; name another queue (partition) in the site file, or wait",
        _REASON,
        "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)",
        SPECIFIC,
    ),
    Rule(
        "slurm-held",
        r"\bReason=(?P<hold>JobHeldUser|JobHeldAdmin|JobHoldMaxRequeue|BeginTime|Dependency|Licenses)\b|"
        r"launch failed requeued held|\b(?:JobHeldUser|JobHeldAdmin)\b",
        "the job is held and will not start",
        SCHEDULER,
        QUEUE,
        "find out who holds it: `scontrol show job ID`; release it with `scontrol release ID`, or ask the site",
        _REASON,
        "JobState=PENDING Reason=JobHeldUser Dependency=(null)",
        SPECIFIC,
    ),
    Rule(
        "slurm-busy",
        r"JobState=PENDING Reason=(?:Resources|Priority|None)\b",
        "the queue is busy",
        SCHEDULER,
        QUEUE,
        "run again when the queue is empty, or raise `limits: queue_wait:` in the site file",
        _REASON,
        "JobState=PENDING Reason=Priority Dependency=(null)",
        GENERAL,
        where=(Where.SCHEDULER,),
    ),
    Rule(
        "slurm-out-of-memory",
        r"\bOUT_OF_MEMORY\b|Detected \d+ oom[-_]kill|oom[-_]kill event|Exceeded (?:job|step) memory limit|"
        r"exceeded memory limit|Some of your processes may have been killed by the cgroup out-of-memory",
        "the job was killed because it used more memory than it requested",
        SITE,
        RUN,
        "request more memory in `directives:` of the site file (`--mem=0` for the whole node)",
        "Slurm, sacct(1): job state codes",
        "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=12.batch. Some of your processes may have been "
        "killed by the cgroup out-of-memory handler.",
        SPECIFIC,
    ),
    Rule(
        "slurm-node-failure",
        r"\b(?:JobState=)?(?:NODE_FAIL|BOOT_FAIL)\b|Node failure on (?P<node>\S+)|"
        r"DUE TO NODE FAILURE|Job credential (?:expired|revoked)|aborted before step completely launched",
        "a node of the job failed",
        SITE,
        RUN,
        "report the node to the site, and run again",
        "Slurm, sacct(1): job state codes",
        "srun: error: Node failure on cn017",
        SPECIFIC,
    ),
    Rule(
        "slurm-preempted",
        r"\bJobState=PREEMPTED\b|DUE TO PREEMPTION|\|PREEMPTED\||DUE TO JOB REQUEUE|\bREQUEUE_HOLD\b|"
        r"job_requeued_in_held_state",
        "the job was preempted or put back into the queue",
        SCHEDULER,
        RUN,
        "use a partition or QOS whose jobs are not preempted",
        "Slurm, sacct(1): job state codes",
        "slurmstepd: error: *** JOB 7 ON cn001 CANCELLED AT 2026-11-29T07:43:01 DUE TO PREEMPTION ***",
        SPECIFIC,
    ),
    Rule(
        "slurm-launch-failed",
        r"\bReason=(?:JobLaunchFailure|Prolog|RaisedSignal\S*)\b|[Tt]ask launch for (?:StepId=)?\S+ failed|"
        r"launch failed: (?P<why>.+)|Prolog (?:error|failed)|Slurmd could not execve job|"
        r"Unable to create step for job \d+: (?P<reason>.+)|Slurm[ds]\w* could not \S+|slurmd.*communication failure",
        "Slurm cannot start processes on the nodes",
        SITE,
        Phase.LAUNCH,
        "ask the site: slurmd's log on the node names the reason",
        "Slurm, srun(1)",
        "srun: error: task 0 launch failed: Slurmd could not execve job",
        PLAIN,
    ),
    Rule(
        "slurm-user",
        r"Invalid user id|User not found on host|[Uu]id \d+ not found on|could not find user",
        "the nodes do not know this user",
        SITE,
        Phase.LAUNCH,
        "ask the site: the user's entry is missing in the passwd database of the nodes",
        _SOURCE,
        "srun: error: Unable to create step for job 5: User not found on host",
        SPECIFIC,
    ),
    Rule(
        "slurm-folder",
        r"Pathname of a file, directory or other parameter too long|[Uu]nable to change directory to work directory|"
        r"[Cc]ould ?n[o']t chdir to|I/O error writing script/environment to file",
        "Slurm cannot use the folder of the job",
        SITE,
        SUBMIT,
        "name a folder in `work_dir:` of the site file that has a short path and exists on the nodes and on the "
        "controller's machine",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Pathname of a file, directory or other parameter too long",
        SPECIFIC,
    ),
    Rule(
        "slurm-refused",
        r"Batch job submission failed: (?P<why>.+)|Unable to allocate resources: (?P<reason>.+)|"
        r"srun: error: (?:Unable to confirm allocation|Unable to create step).*: (?P<step>.+)",
        "Slurm refused the job",
        SCHEDULER,
        SUBMIT,
        "submit the same job by hand with sbatch; correct queue, account and directives in the site file",
        _SOURCE,
        "sbatch: error: Batch job submission failed: Unspecified error",
        PLAIN,
    ),
    Rule(
        "slurm-error",
        r"\b(?:sbatch|salloc): (?:error|fatal): "
        r"(?!Unable to open file|This does not look like a batch script|Batch script (?:is empty|contains)|"
        r"Script arguments|.*(?:unrecognized option|requires an argument|is ambiguous))(?P<why>\S.+)",
        "Slurm refused the job",
        SCHEDULER,
        SUBMIT,
        "submit the same job by hand with sbatch. A plugin of the site may have refused it: ask the site for its rules",
        "Slurm, job_submit plugins and cli_filter",
        "sbatch: error: Please name a project with --account",
        GENERAL,
    ),
)
