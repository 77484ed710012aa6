"""The pipeline of one system, generated from its site file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from ci.errors import NoPipelineError, SiteValueError
from ci.gitlab import (
    Artifacts,
    ChildFile,
    Described,
    IdToken,
    Job,
    Need,
    Pipeline,
    ProjectFile,
    Retry,
    Rule,
    Trigger,
    Workflow,
    to_yaml,
)
from ci.limits import OWN, Times, jobs_of_lane, scheduler_parameters, times
from ci.phases import LOCKED, STAGES, WITH_LANES, Phase, phases, with_deployment
from ci.results import OUTBOX
from ci.shell import expandable, script
from site_configs.lanes import lanes
from site_configs.schema import State, System
from site_configs.values import ProxyUse

RESULTS = "results"
PACKAGES = f"{RESULTS}/packages.yml"
"""The child pipeline with one job for each package, which the system's pipeline generates and starts."""
RETENTION = "90 days"
HOME_VARIABLE = "EXAWORKS_CI_HOME"
ID_TOKEN = "EXAWORKS_ID_TOKEN"  # noqa: S105 - the name of a variable
RETRY = Retry(max=1, when=["runner_system_failure", "stuck_or_timeout_failure"])
"""A job is repeated if its runner failed, or was lost: GitLab then hears nothing of the job and calls it stuck.

A script or a job that runs out of time fails with another reason, ``job_execution_timeout``, and is not repeated.
"""
FORKED = Rule(if_="$CI_MERGE_REQUEST_SOURCE_PROJECT_ID != $CI_MERGE_REQUEST_PROJECT_ID", when="never")
"""The rule that gives merge requests from forks neither runner nor token. Without a merge request both are empty."""
WORKFLOW = Workflow(rules=[FORKED, Rule(when="always")])
HEADING = """\
{system}: {description}
Generated from the site file by `exaworks ci generate`; edit that file and generate again.

EXAWORKS_TIER: smoke, integration or scale. {home}: the folder of environments, runs and locks.
EXAWORKS_SDK_URL, EXAWORKS_SDK_REF: where to fetch the SDK, if another project includes this file."""


def system_pipeline(system: System, deployment: str | None = None, *, inside: bool | None = None) -> Pipeline:
    """Return the pipeline of one system. inside: see ``phases``.

    Raises:
        NoPipelineError: the system is retired.
        SiteValueError: a value of its file cannot be used in a pipeline.
    """
    if system.state is State.RETIRED:
        raise NoPipelineError(f"{system.system} is retired: it is planned in rehearsals only and has no pipeline.")
    chosen = {"EXAWORKS_DEPLOYMENT": _plain(deployment)} if deployment is not None else {}
    if deployment is not None:
        system = with_deployment(system, deployment)
    jobs = {}
    groups = test_groups(system)
    for phase in phases(system, inside=inside):
        jobs[phase.name] = _phase_job(system, phase, groups)
        if phase.makes_jobs:
            jobs["packages"] = _packages(phase)
    jobs |= {"deliver": _deliver(system), "verdict": _verdict(system, deployment, inside), "status": _status(system)}
    jobs["cleanup"] = _own_job(
        system, "cleanup", ["cleanup", "--site", system.system], when="always", allow_failure=True
    )
    used = {job.stage for job in jobs.values()}
    return Pipeline(
        heading=HEADING.format(system=system.system, description=system.description, home=HOME_VARIABLE),
        include=includes(system),
        workflow=WORKFLOW,
        stages=[stage for stage in (WITH_LANES if system.ci.lanes else STAGES) if stage in used],
        variables={
            "EXAWORKS_TIER": "integration",
            **_lane_choice(system),
            **site_variables(system),
            **chosen,
            **proxy(system, batch=False),
        },
        before_script=setup_lines(system),
        jobs=jobs,
    )


def system_yaml(system: System, deployment: str | None = None) -> str:
    """Return the text of a system's pipeline file, for its own deployment or for another one."""
    return to_yaml(system_pipeline(system, deployment))


def home_lines(system: System) -> str:
    """Return the shell lines that set EXAWORKS_HOME, the folder that the pipelines of a system share.

    The site's work directory is not written inside a parameter expansion, where quotes and braces have a meaning.
    """
    work = expandable(system.work_dir, f"{system.system}: work_dir") if system.work_dir else "${HOME:?}/.local/state"
    lines = (
        f"EXAWORKS_HOME=${{{HOME_VARIABLE}:-}}",
        f'[ -n "$EXAWORKS_HOME" ] || EXAWORKS_HOME="{work}/exaworks-ci"',
        f'export EXAWORKS_HOME="$EXAWORKS_HOME/{slug(system)}"',
    )
    return "\n".join(lines)


def slug(system: System) -> str:
    """Return the system's name in a form that is valid for files, jobs and resource groups."""
    return system.system.replace("/", "-")


def _plain(text: str) -> str:
    """Return a deployment's name if GitLab cannot expand anything in it."""
    if "$" in text or any(ord(character) < 33 for character in text):
        raise SiteValueError(f"--deployment {text!r}: a deployment in a pipeline must not contain spaces or $.")
    return text


def includes(system: System) -> list[ProjectFile]:
    """Return the files of the site's GitLab that each of its pipelines must include."""
    return [ProjectFile(project=i.project, file=i.file, ref=i.ref) for i in system.ci.includes]


def site_variables(system: System, *, pods: bool = False) -> dict[str, Described]:
    """Return the variables for what the site does not publish, with their defaults; a project's settings override them.

    One without a default is left out, since an empty value in a file would hide that it is not set. Those that are
    tags of the other form, of ``pods`` or of the site's own runners, are left out too.
    """
    runner = system.runner
    own = {*runner.tags, *runner.shell_tags, *runner.batch_tags}
    of_pods = set(system.ci.pods.tags) if system.ci.pods else set()
    other = own - of_pods if pods else of_pods - own
    return {
        variable.name: Described(value=variable.default, description=variable.meaning)
        for variable in system.ci.variables
        if variable.default and f"${variable.name}" not in other
    }


def setup_lines(system: System) -> list[str]:
    """Return the lines that every job starts with."""
    return [*environment_lines(system), script("prepare.sh")]


def environment_lines(system: System, *more: str) -> list[str]:
    """Return the lines that set the variables; an ``after_script`` runs in another shell and needs them again.

    more: lines that change EXAWORKS_HOME.
    """
    return [home_lines(system), *more, *module_lines(system), script("where.sh").rstrip()]


def module_lines(system: System) -> list[str]:
    """Return the lines that load the site's modules: on some machines one of them provides the Python."""
    modules = system.modules
    if not modules.load:
        return []
    used = [f'  module use "{expandable(folder, f"{system.system}: modules.use")}"' for folder in modules.use]
    loaded = [f"  module load {shlex.quote(name)}" for name in modules.load]
    return ["\n".join(["if command -v module >/dev/null 2>&1; then", *used, *loaded, "fi"])]


LANES = "EXAWORKS_LANES"
"""The variable with the lanes that run, separated by commas, or ``all``."""


def _lane_choice(system: System) -> dict[str, Described]:
    """Return the variable that chooses the lanes. Its default is the first lane: the others may build for hours."""
    names = [lane.name for lane in lanes(system.ci.lanes)]
    text = f"the lanes to run, separated by commas: {', '.join(names)}; or all"
    return {LANES: Described(value=names[0], description=text)} if names else {}


def _of_lane(phase: Phase) -> list[Rule]:
    if phase.lane is None:
        return []
    return [Rule(if_=f"${LANES} !~ /(^|,)({re.escape(phase.lane)}|all)(,|$)/", when="never")]


def test_groups(system: System) -> dict[str | None, str]:
    """Return the resource group of each lane's test jobs; lanes of one group are tested one after another.

    Two lanes are tested at the same time only if the site admits a job of each at once.
    """
    named = lanes(system.ci.lanes)
    shared = f"{slug(system)}-jobs"
    together = jobs_of_lane(system) is not None
    return {None: shared, **{lane.name: f"{shared}-{lane.name}" if together else shared for lane in named}}


def _phase_job(system: System, phase: Phase, groups: Mapping[str | None, str]) -> Job:
    # A control case submits a job from a login node; inside an allocation it cannot run.
    batch = phase.tests and phase.stage != "control" and system.runner.executor == "batch"
    chosen = _of_lane(phase)
    start = [Rule(when="on_success")] if chosen else []
    rules = {
        "integration": [Rule(if_='$EXAWORKS_TIER == "smoke"', when="never"), Rule(when="on_success")],
        "scale": [
            Rule(if_='$EXAWORKS_TIER == "scale" && $EXAWORKS_TRIGGER == "schedule"'),
            Rule(if_='$EXAWORKS_TIER == "scale" && $CI_PIPELINE_SOURCE == "schedule"'),
        ],
    }
    return Job(
        stage=phase.stage,
        tags=tags(system, batch=batch),
        rules=[*chosen, *rules.get(phase.stage, start)],
        needs=[Need(job=phase.after)] if phase.lane is not None and phase.after else None,
        variables={**phase.times.variables, **_batch_variables(system, phase, batch=batch)},
        id_tokens=site_token(system),
        script=[
            exaworks("ci", "stage", *stage_argument_list(system, phase)),
            *([exaworks("ci", "packages", "--site", system.system, "--to", PACKAGES)] if phase.makes_jobs else []),
        ],
        # Has an effect only if the stage was killed: then the results of its run are still kept.
        after_script=[*environment_lines(system), exaworks("ci", "collect", phase.name)] if phase.tests else [],
        resource_group=groups[phase.lane] if phase.tests else f"{slug(system)}-{phase.lane or 'jobs'}",
        timeout=phase.times.timeout,
        # A test stage that did not pass is a warning. The next stage checks the results itself; the verdict decides.
        allow_failure=phase.tests,
        interruptible=True,
        retry=RETRY,
        artifacts=stage_artifacts(system, phase.name, *([PACKAGES] if phase.makes_jobs else [])),
    )


def stage_argument_list(system: System, phase: Phase) -> list[str]:
    """Return the arguments of ``exaworks ci stage`` for a phase."""
    arguments = [phase.name, "--site", system.system]
    arguments += ["--lock"] if phase.stage in LOCKED else []
    arguments += ["--lane", phase.lane] if phase.lane else []
    arguments += ["--after", phase.after] if phase.after else []
    return [*arguments, "--", *phase.argv]


def stage_artifacts(system: System, stage: str, *more: str) -> Artifacts:
    """Return the artifacts of a stage: its own two files, and the outbox of each of its runs."""
    folder = f"{RESULTS}/{stage}"
    return Artifacts(
        name=f"{slug(system)}-{stage}",
        when="always",
        expire_in=RETENTION,
        paths=[f"{folder}/stage.json", f"{folder}/stage.xml", *(f"{folder}/*/{name}" for name in OUTBOX), *more],
        reports={"junit": [f"{folder}/stage.xml", f"{folder}/*/junit.xml"]},
    )


def _own_job(
    system: System,
    stage: str,
    arguments: list[str],
    *,
    rules: list[Rule] | None = None,
    needs: list[Need] | None = None,
    id_tokens: dict[str, IdToken] | None = None,
    coverage: str | None = None,
    artifacts: Artifacts | None = None,
    when: str | None = None,
    allow_failure: bool = False,
) -> Job:
    own = times(system, OWN)
    return Job(
        stage=stage,
        tags=tags(system),
        rules=rules or [],
        needs=needs,
        variables=own.variables | fallback_parameters(system),
        id_tokens={**site_token(system), **(id_tokens or {})},
        script=[exaworks("ci", *arguments)],
        timeout=own.timeout,
        allow_failure=allow_failure,
        retry=RETRY,
        coverage=coverage,
        when=when,
        artifacts=artifacts,
    )


def _packages(phase: Phase) -> Job:
    """Return the job that starts the child pipeline which the phase has generated, and waits for it."""
    return Job(
        stage="packages",
        needs=[Need(job=phase.name)],
        trigger=Trigger(
            include=[ChildFile(artifact=PACKAGES, job=phase.name)],
            strategy="depend",
            forward={"pipeline_variables": True},
        ),
    )


def _deliver(system: System) -> Job:
    """Return the job that delivers results. A collector that does not answer is a warning: the results are kept."""
    kept = Artifacts(
        name=f"{slug(system)}-spool", when="always", expire_in=RETENTION, paths=[f"{RESULTS}/*/*/{n}" for n in OUTBOX]
    )
    return _own_job(
        system,
        "report",
        ["deliver", "--site", system.system],
        id_tokens=_collector_token(system),
        when="always",
        allow_failure=True,
        artifacts=kept,
    )


def _verdict(system: System, deployment: str | None, inside: bool | None) -> Job:
    options = [*(["--deployment", deployment] if deployment else []), *(["--inside"] if inside else [])]
    return _own_job(
        system,
        "report",
        ["verdict", "--site", system.system, *options],
        coverage=r"/pass rate: (\d+(?:\.\d+)?)%/",
        when="always",
        artifacts=Artifacts(
            name=f"{slug(system)}-verdict",
            when="always",
            expire_in=RETENTION,
            paths=[f"{RESULTS}/verdict.json", f"{RESULTS}/verdict.md"],
        ),
    )


def _status(system: System) -> Job:
    return _own_job(
        system,
        "report",
        ["status", "--site", system.system],
        rules=[Rule(if_="$EXAWORKS_GITLAB_TOKEN", when="always")],
        needs=[Need(job="verdict")],
        allow_failure=True,
    )


def exaworks(*arguments: str) -> str:
    """Return the shell line that runs ``exaworks`` with these arguments."""
    return f'"$EXAWORKS" {shlex.join(arguments)}'


def tags(system: System, *, batch: bool = False) -> list[str]:
    """Return the runner tags of a job that runs as a batch job (``batch``), or on a login node."""
    runner = system.runner
    own = runner.batch_tags if batch else runner.shell_tags
    return [*runner.tags, *own]


def _batch_variables(system: System, phase: Phase, *, batch: bool) -> dict[str, str]:
    if not batch:
        return fallback_parameters(system)
    given = _parameters(system, phase.stage)
    return {**given, **(proxy(system, batch=True) if given else {})}


def fallback_parameters(system: System) -> dict[str, str]:
    """Return the options of a small batch job for stages without cases, if the site has only a batch runner."""
    only_batch = system.runner.executor == "batch" and not system.runner.shell_tags
    return _parameters(system, "control") if only_batch else {}


def _parameters(system: System, tier: str) -> dict[str, str]:
    variable = system.ci.scheduler_parameters
    parameters = scheduler_parameters(system, tier)
    return {variable: parameters} if variable and parameters else {}


def proxy(system: System, *, batch: bool) -> dict[str, str]:
    """Return the variables that name the site's proxy, if the job needs it."""
    network = system.network
    if network.proxy is None or (network.proxy_use is ProxyUse.COMPUTE and not batch):
        return {}
    proxied = {"http_proxy": network.proxy, "https_proxy": network.proxy}
    return {**proxied, "no_proxy": ",".join(network.no_proxy)} if network.no_proxy else proxied


def site_token(system: System) -> dict[str, IdToken]:
    """Return the ID token that the site's runner requires in every job, if it does."""
    token = system.ci.site_token
    return {token.variable: IdToken(aud=token.audience)} if token else {}


def _collector_token(system: System) -> dict[str, IdToken]:
    token = system.ci.collector_token
    if token is not None:
        return {token.variable: IdToken(aud=token.audience)}
    return {ID_TOKEN: IdToken(aud=system.collector.url)} if system.collector.url else {}


__all__ = ["Times", "home_lines", "slug", "system_pipeline", "system_yaml"]
