"""Messages of the components themselves that name a cause outside them, or how one of their processes ended."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule

SITE, COMPONENT, DISTRIBUTION = CauseClass.SITE, CauseClass.COMPONENT, CauseClass.DISTRIBUTION

RULES: tuple[Rule, ...] = (
    # -- RADICAL ------------------------------------------------------------------------------------------------------
    Rule(
        "radical-environment",
        r"given virtenv does not exist at (?P<folder>\S+)|python installation \([^)]*\) is not usable|ERROR: no python\b|"
        r"Loading of virtualenv failed|prepare_env failed|virtenv \S+ (?:could not|cannot) be|"
        r"[Cc]ouldn't (?:create|activate|update) virtualenv|radical-pilot-\w+: (?:command )?not found|"
        r"(?:named )?env(?:ironment)? \S+ (?:is )?not (?:known|found|prepared)",
        "RADICAL's agent has no usable Python environment on the node",
        DISTRIBUTION,
        Phase.LAUNCH,
        "check that the deployment exists on the compute node, under the same path, and that its python starts there",
        "radical.pilot, agent/bootstrap_0.sh",
        "ERROR: given virtenv does not exist at /home/alice/ve",
        SPECIFIC,
    ),
    Rule(
        "radical-nodes",
        r"no accessible nodes found|ResourceManager has no nodes left|detected vnodes of different sizes|"
        r"\$(?P<variable>SLURM_\*?NODELIST|SLURM_CPUS_ON_NODE|PBS_NODEFILE|PBS_JOBID|LSB_DJOB_HOSTFILE|"
        r"COBALT_NODEFILE)\b.*not set|cores_per_node undetermined|resource configuration unknown",
        "RADICAL's agent does not find the nodes of its job",
        SITE,
        Phase.LAUNCH,
        "check that the scheduler sets the variables of a job (node list, cores) and that its nodes answer",
        "radical.pilot, agent/resource_manager",
        "RuntimeError: $PBS_NODEFILE not set",
        SPECIFIC,
    ),
    Rule(
        "radical-too-large",
        r"task can never be scheduled|insufficient resources .*task|[Tt]ask .*does not fit",
        "the pilot is too small for a task",
        SITE,
        Phase.LAUNCH,
        "the node has fewer cores or GPUs than the case needs: correct `usable_cores:` and `gpus:` in the site file",
        "radical.pilot, agent/scheduler/base.py",
        "RuntimeError: task can never be scheduled",
        SPECIFIC,
    ),
    Rule(
        "radical-launch-method",
        r"cannot use srun \[|(?P<method>\w+) launch method .*(?:unusable|failed|disabled)|cannot identify MPI flavor|"
        r"flux (?:import failed|partition (?:did not start|startup failed)|service did not start)|PRTE DVM died|"
        r"prte command not found|ssh not found!",
        "a launch method of RADICAL cannot be used on the node",
        SITE,
        Phase.LAUNCH,
        "start the launcher by hand on the node; the message names what it needs",
        "radical.pilot, agent/launch_method",
        "RuntimeError: cannot use srun [] [srun: error: slurm_load_jobs]",
        SPECIFIC,
    ),
    Rule(
        "radical-component-died",
        r"(?:component|bridge|agent|sub-agent|worker)\S* .*(?:died|did not (?:start|come up)|startup (?:failed|timed out)|"
        r"failed to start)|startup (?:timeout|failed) for|components? .*terminated unexpectedly|"
        r"Heartbeat (?:timeout|failed)|hb (?:timeout|lost)|Unable to start service|raptor gone",
        "a process of RADICAL died or did not start",
        COMPONENT,
        Phase.RUN,
        "read the .err file of that process among the logs: `exaworks explain RUN CASE`",
        "radical.utils, heartbeat and components",
        "RuntimeError: bridge agent_staging_input_queue did not come up",
        GENERAL,
        owners=("radical.pilot", "radical.entk"),
    ),
    Rule(
        "pilot-ended",
        r"The payload ends its pilot below .*: (?P<reason>its agent has ended|neither an agent nor a batch job .*appeared)",
        "the pilot's agent has ended",
        COMPONENT,
        Phase.RUN,
        "read bootstrap_0.err, agent_0.err and agent_0.log among the logs: `exaworks explain RUN CASE`",
        "this project, payloads/radical/_guard.py",
        "The payload ends its pilot below /scratch/rct.x: its agent has ended.",
        GENERAL,
    ),
    # -- Parsl --------------------------------------------------------------------------------------------------------
    Rule(
        "parsl-interchange",
        r"Interchange (?:failed to start|has not completed initialization|.*(?:exited|terminated|died))|"
        r"CommandClient(?:Timeout|Bad)Error|"
        r"(?:No such file or directory: |command not found|not found: )['\"]?(?:\S*/)?interchange\.py",
        "Parsl's interchange did not start or died",
        COMPONENT,
        Phase.LAUNCH,
        "read interchange.log and parsl.log among the logs; start `interchange.py` of the deployment by hand",
        "parsl, executors/high_throughput/executor.py",
        "Exception: Interchange failed to start",
        GENERAL,
    ),
    Rule(
        "parsl-worker-pool",
        r"process_worker_pool\.py['\"]?: (?:command )?not found|process_worker_pool\.py.*No such file|"
        r"exec: process_worker_pool\.py",
        "Parsl's worker pool is not on PATH where it runs",
        DISTRIBUTION,
        Phase.LAUNCH,
        "check that the deployment's `bin` exists on the node and contains `process_worker_pool.py`",
        "parsl, the launch script of a block",
        "bash: line 1: process_worker_pool.py: command not found",
        SPECIFIC,
    ),
    Rule(
        "parsl-no-route",
        r"No viable ZMQ url from|Unable to connect to interchange; attempted addresses|"
        r"No address to probe",
        "Parsl's workers do not reach its interchange",
        SITE,
        Phase.LAUNCH,
        "check that compute nodes reach the login node: host name, firewall, and the interface of the address",
        "parsl, executors/high_throughput/probe.py",
        "ConnectionError: No viable ZMQ url from: tcp://10.0.0.5:54321",
        SPECIFIC,
    ),
    Rule(
        "parsl-heartbeat",
        r"Missing contact with interchange beyond heartbeat_threshold|Task failure due to loss of manager (?P<manager>)",
        "Parsl's workers lost contact with its interchange",
        COMPONENT,
        Phase.RUN,
        "see in interchange.log and manager.log which of the two stopped first",
        "parsl, executors/high_throughput/process_worker_pool.py",
        "CRITICAL Missing contact with interchange beyond heartbeat_threshold",
        GENERAL,
    ),
    Rule(
        "parsl-worker-lost",
        r"Task failure due to loss of worker|Worker \d+ has died|WorkerLost",
        "a worker of Parsl died",
        COMPONENT,
        Phase.RUN,
        "read the worker's log; a kill by the machine for memory is in `dmesg`",
        "parsl, executors/high_throughput/errors.py",
        "parsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss of worker 0 on host n1",
        GENERAL,
    ),
    Rule(
        "parsl-blocks-failed",
        r"Executor \S+ failed due to: |all blocks? .*failed|Launch command exited with code|ScalingFailed|"
        r"EXIT CODE: (?P<code>[1-9]\d*)",
        "the blocks of Parsl's executor failed",
        COMPONENT,
        Phase.LAUNCH,
        "read the stderr of the submit script among the logs",
        "parsl, jobs/error_handlers.py",
        "Executor htex failed due to: Error 1:",
        GENERAL,
    ),
    # -- PSI/J --------------------------------------------------------------------------------------------------------
    Rule(
        "job-cancelled",
        r"the job \S+ ended as CANCELED with",
        "the job was cancelled, and not by the case",
        CauseClass.SCHEDULER,
        Phase.RUN,
        "ask the scheduler who cancelled the job (`scontrol show job`, `sacct`, `qstat -xf`, `bhist -l`), and run again",
        "the payloads of psij-python, which cancel only their own jobs at their end",
        "RuntimeError: the job 2 ended as CANCELED with exit code None: PSI/J has no message",
    ),
    Rule(
        "job-id-unreadable",
        r"PSI/J reports the job (?P<id>\S*[^\w.\[\]:;+-]\S*) as COMPLETED",
        "the scheduler's answer to the submission was no job id",
        CauseClass.SCHEDULER,
        Phase.SUBMIT,
        "submit a job by hand and look at the whole output of the scheduler's submit command; a wrapper on PATH may "
        "print something else",
        "the payloads of psij-python",
        "TimeoutError: PSI/J reports the job Unavailable</body></html> as COMPLETED, but there is no hello.out after 20 s",
    ),
    Rule(
        "psij-executor",
        r"(?:Unknown|No such|Invalid) (?:executor|launcher)(?: type)?:? ?'?(?P<name>[\w.-]+)?|"
        r"[Nn]o (?:such )?(?:executor|launcher) (?:named )?'?(?P<other>[\w.-]+)",
        "PSI/J has no executor or launcher {name}",
        DISTRIBUTION,
        Phase.LAUNCH,
        "reinstall psij-python: the descriptor below `psij-descriptors/` or the module that it names is missing",
        "psij-python, job_executor.py and its descriptors",
        "ValueError: No such executor: slurm",
        SPECIFIC,
    ),
    Rule(
        "psij-template",
        r"\w+_?launch(?:er)?(?:_lib)?\.sh['\"]?: (?:No such file|Permission denied|(?:command )?not found)|"
        r"(?P<template>\w+\.mustache)",
        "a script or template of PSI/J is missing",
        DISTRIBUTION,
        Phase.LAUNCH,
        "reinstall psij-python in the deployment",
        "psij-python, launchers and executors/batch",
        "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ve/lib/psij/executors/batch/slurm.mustache'",
        SPECIFIC,
    ),
    Rule(
        "psij-polling",
        r"Failed to poll for job status",
        "PSI/J cannot read what the scheduler answers about its jobs",
        CauseClass.SCHEDULER,
        Phase.QUEUE,
        "run the command that lists jobs by hand in the activated deployment (squeue, qstat, bjobs); the deployment may "
        "hide it, or the scheduler answers something else",
        "psij-python, batch_scheduler_executor.py",
        "Polling error: Failed to poll for job status: Traceback (most recent call last):",
        PLAIN,
    ),
    # -- Swift/T ------------------------------------------------------------------------------------------------------
    Rule(
        "swift-java",
        r"(?:java|JAVA\S*)['\"]?: (?:command )?not found|stc: .*[Jj]ava|UnsupportedClassVersionError|"
        r"has been compiled by a more recent version of the Java|Unable to (?:locate|find) (?:a )?Java|"
        r"JAVA_HOME .*(?:invalid|not set|not defined)",
        "Swift/T's compiler has no usable Java",
        SITE,
        Phase.LAUNCH,
        "put a Java runtime, version 8 or newer, on PATH",
        "stc, the start script",
        "stc: could not find java: /usr/bin/java",
        SPECIFIC,
    ),
    Rule(
        "swift-tcl",
        r"can't find package (?P<package>[\w:.-]+)|couldn't load (?:file|library) \"?(?:\S*/)?(?P<library>lib\w+\.so)|"
        r"tclsh\S*: (?:command )?not found|could not find tclsh|version conflict for package|"
        r"(?:swift-t|turbine|stc): .*(?:not found|could not find|does not exist|cannot find)",
        "a part of Swift/T is missing or of another version",
        DISTRIBUTION,
        Phase.LAUNCH,
        "reinstall turbine, adlbx and exmcutils together, with the Tcl that is on PATH",
        "turbine, tclsh(1)",
        "can't find package turbine 1.5.2",
        SPECIFIC,
    ),
    Rule(
        "swift-compile",
        r"(?:^|\s)\S+\.swift:\d+:\d+: |STC: (?:fatal|error)|swift-t: stc failed",
        "Swift/T's compiler refused the program",
        COMPONENT,
        Phase.RUN,
        "read the compiler's message; the payload's program is in its scratch folder",
        "stc",
        "hello.swift:3:1: type error: expected int",
        PLAIN,
    ),
    Rule(
        "swift-engine",
        r"ADLB(?:_\w+)?:? .*(?:ERROR|error|fail|abort)|turbine: .*(?:error|failed)|Turbine .*(?:error|FAIL)|"
        r"TURBINE: .*(?:ERROR|failed)|CHECK FAILED: adlb",
        "Swift/T's run time failed",
        COMPONENT,
        Phase.RUN,
        "read the output of turbine among the logs",
        "turbine, adlbx",
        "CHECK FAILED: adlb.c:ADLB_Init:170",
        GENERAL,
    ),
    # -- Maestro ------------------------------------------------------------------------------------------------------
    Rule(
        "maestro-conductor",
        r"conductor.*(?:failed|died|error)|(?:Study|Spec\w*) .*(?:invalid|not valid|failed valid)|"
        r"maestrowf\.\S+:.*(?:ERROR|CRITICAL).*",
        "Maestro's conductor failed",
        COMPONENT,
        Phase.RUN,
        "read the study's log below `logs/` in its output folder",
        "maestrowf",
        "maestrowf.conductor:main: ERROR Study failed",
        GENERAL,
        owners=("maestro",),
    ),
    # -- all ----------------------------------------------------------------------------------------------------------
    Rule(
        "data-file-missing",
        r"No such file or directory: ['\"]?\S*/(?:site|dist)-packages/(?P<file>[^'\"\s]+)|"
        r"(?:file|resource|config\w*) \S*(?:site|dist)-packages/(?P<other>\S+) (?:is missing|not found|does not exist)",
        "a file of an installed package is missing: {file}",
        DISTRIBUTION,
        Phase.LAUNCH,
        "reinstall the package in the deployment",
        "Python, FileNotFoundError",
        "FileNotFoundError: [Errno 2] No such file or directory: "
        "'/opt/ve/lib/python3.11/site-packages/radical/pilot/configs/agent_default.json'",
        SPECIFIC,
    ),
)
