"""Messages of what activates a deployment: modules, Spack, conda, virtual environments, containers, start files."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import PLAIN, SPECIFIC, Rule

SITE, DISTRIBUTION = CauseClass.SITE, CauseClass.DISTRIBUTION

RULES: tuple[Rule, ...] = (
    Rule(
        "module-unknown",
        r"Unable to locate a modulefile for '?(?P<module>[^'\s]+)|The following module\(s\) are unknown: ?\"?(?P<name>[^\"]*)|"
        r"These module\(s\).*exist but cannot be loaded|ModuleCmd_Load\.c\S*ERROR|Module (?:\S+ )?not found|"
        r"Lmod has detected the following error: +(?P<why>.+)|module\S*:? ERROR: (?P<error>.+)",
        "a module cannot be loaded",
        SITE,
        Phase.LAUNCH,
        "`module avail` lists the modules; correct the module in the site file or the name of the deployment",
        "Environment Modules, Lmod",
        "ERROR: Unable to locate a modulefile for 'parsl/2026.10'",
        SPECIFIC,
    ),
    Rule(
        "module-missing",
        r"(?:^|[\s:])(?:module|ml): (?:command )?not found|modulecmd.*(?:No such file|not found)|"
        r"LMOD_CMD.*(?:unset|not set|No such)",
        "the command `module` does not exist in this shell",
        SITE,
        Phase.LAUNCH,
        "load the initialisation of Environment Modules or Lmod in the start files of non-interactive shells",
        "the shell",
        "bash: line 2: module: command not found",
        SPECIFIC,
    ),
    Rule(
        "shell-start-file",
        r"bash: OSError: `bash -c 'exit 42'` (?P<what>ends with -?\d+|does not end within \d+ s)(?: \(BASH_ENV=(?P<file>[^)]*)\))?",
        "bash does not run a script: a script that is to end with 42 {what}",
        SITE,
        Phase.LAUNCH,
        "correct the file that BASH_ENV names, or unset BASH_ENV; run `bash -c 'exit 42'; echo $?`, which must print 42",
        "the preflight",
        "bash: OSError: `bash -c 'exit 42'` ends with 3 (BASH_ENV=/home/me/.bashrc)",
        PLAIN,
    ),
    Rule(
        "activation-script",
        r"(?:/activate|activate\S*|\.bashrc|\.profile|setup-env\.sh|/etc/profile\S*): (?:line )?\d*:? ?"
        r".*(?:unbound variable|parameter not set|No such file|Permission denied|not found|syntax error)|"
        r"(?P<variable>\w+): (?:unbound variable|parameter not set)",
        "a script that activates the environment fails",
        SITE,
        Phase.LAUNCH,
        "run the activation by hand in a new shell (`bash -c '. SCRIPT'`) and correct the line in the message",
        "the shell",
        "/opt/ve/bin/activate: line 12: PS1: unbound variable",
        SPECIFIC,
    ),
    Rule(
        "conda-environment",
        r"EnvironmentNameNotFound|EnvironmentLocationNotFound|CondaError: (?P<why>.+)|Could not find conda environment|"
        r"Your shell has not been properly configured to use 'conda activate'|conda: (?:command )?not found|"
        r"Run 'conda init' before 'conda activate'",
        "the conda environment cannot be activated",
        DISTRIBUTION,
        Phase.LAUNCH,
        "`conda env list` lists the environments; correct `--deployment conda:NAME`",
        "conda",
        "EnvironmentNameNotFound: Could not find conda environment: sdk",
        SPECIFIC,
    ),
    Rule(
        "spack-environment",
        r"==> Error: (?P<why>.+)|spack: (?:command )?not found",
        "Spack cannot load the deployment",
        DISTRIBUTION,
        Phase.LAUNCH,
        "run the command of the message by hand; `spack find` lists what is installed",
        "Spack",
        "==> Error: no such environment 'sdk'",
        SPECIFIC,
    ),
    Rule(
        "container",
        r"(?:apptainer|singularity)\S*:? .*FATAL|FATAL: +(?P<why>(?:could not open image|container|while|image).+)|"
        r"(?:podman|docker)\S*: .*(?:no such image|cannot|denied|unable)|Error: (?:unable to|initializing source|"
        r"creating container|runtime|crun|runc|OCI)\S* .*|fuse: (?:device not found|failed)|squashfuse.*(?:not found|fail)|"
        r"/dev/fuse.*(?:No such|Permission denied|not permitted)|newuidmap.*|user namespaces? .*(?:disabled|not)|"
        r"(?:charliecloud|ch-run)\S*: error",
        "the container of the deployment cannot be started",
        SITE,
        Phase.LAUNCH,
        "start the image by hand on the node; check its path, FUSE and user namespaces there",
        "Apptainer, Podman, Charliecloud",
        "FATAL:   could not open image /scratch/sdk.sif: no such file or directory",
        PLAIN,
    ),
)
