"""The pipeline of one system, made from its site file."""

from __future__ import annotations

import shlex

import msgspec

from ci.errors import NoPipelineError, SiteValueError
from ci.gitlab import (
    Artifacts,
    ChildFile,
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
from ci.limits import OWN, Times, scheduler_parameters, times
from ci.phases import LOCKED, STAGES, Phase, phases
from ci.results import OUTBOX
from ci.shell import expandable, script
from site_configs.schema import State, System
from site_configs.values import ProxyUse

RESULTS = "results"
PACKAGES = f"{RESULTS}/packages.yml"
"""The child pipeline with a job a package, which the system's pipeline makes and starts."""
KEPT = "90 days"
HOME_VARIABLE = "EXAWORKS_CI_HOME"
ID_TOKEN = "EXAWORKS_ID_TOKEN"  # noqa: S105 - the name of a variable
RETRY = Retry(max=1, when=["runner_system_failure"])
FORKED = Rule(if_="$CI_MERGE_REQUEST_SOURCE_PROJECT_ID != $CI_MERGE_REQUEST_PROJECT_ID", when="never")
"""A merge request from a fork gets neither runner nor token; both sides are empty where there is no merge request."""
WORKFLOW = Workflow(rules=[FORKED, Rule(when="always")])
HEADING = """\
{system}: {description}
Generated from the site file by `exaworks ci generate`; edit that file and generate again.

EXAWORKS_TIER: smoke, integration or scale. {home}: where environments, runs and locks are kept.
EXAWORKS_SDK_URL, EXAWORKS_SDK_REF: fetch the SDK from there, where this file is included by another project."""


def system_pipeline(system: System, deployment: str | None = None) -> Pipeline:
    """Make the pipeline of one system.

    Raises:
        NoPipelineError: the system is retired.
        SiteValueError: a value of its file has no place in a pipeline.
    """
    if system.state is State.RETIRED:
        raise NoPipelineError(f"{system.system} is retired: it is planned in rehearsals only and has no pipeline.")
    chosen = {"EXAWORKS_DEPLOYMENT": _plain(deployment)} if deployment is not None else {}
    if deployment is not None:
        system = msgspec.structs.replace(system, deployment=deployment)
    jobs = {}
    for phase in phases(system):
        jobs[phase.name] = _phase_job(system, phase)
        if phase.makes_jobs:
            jobs["packages"] = _packages(phase)
    jobs |= {"deliver": _deliver(system), "verdict": _verdict(system, deployment), "status": _status(system)}
    jobs["cleanup"] = _own_job(
        system, "cleanup", ["cleanup", "--site", system.system], when="always", allow_failure=True
    )
    used = {job.stage for job in jobs.values()}
    return Pipeline(
        heading=HEADING.format(system=system.system, description=system.description, home=HOME_VARIABLE),
        include=includes(system),
        workflow=WORKFLOW,
        stages=[stage for stage in STAGES if stage in used],
        variables={"EXAWORKS_TIER": "integration", **chosen, **proxy(system, batch=False)},
        before_script=places(system),
        jobs=jobs,
    )


def system_yaml(system: System, deployment: str | None = None) -> str:
    """Return the text of a system's pipeline file; another deployment has other stages."""
    return to_yaml(system_pipeline(system, deployment))


def home(system: System) -> str:
    """Return the shell lines that set where the pipelines of a system keep what they share.

    The site's own folder is no part of a parameter expansion, in which quotes and braces would count.
    """
    work = expandable(system.work_dir, f"{system.system}: work_dir") if system.work_dir else "${HOME:?}/.local/state"
    lines = (
        f"EXAWORKS_HOME=${{{HOME_VARIABLE}:-}}",
        f'[ -n "$EXAWORKS_HOME" ] || EXAWORKS_HOME="{work}/exaworks-ci"',
        f'export EXAWORKS_HOME="$EXAWORKS_HOME/{slug(system)}"',
    )
    return "\n".join(lines)


def slug(system: System) -> str:
    """Return the system's name with nothing in it that a file, a job or a resource group cannot bear."""
    return system.system.replace("/", "-")


def _plain(text: str) -> str:
    """Return a deployment's name, in which GitLab must find nothing to replace."""
    if "$" in text or any(ord(character) < 33 for character in text):
        raise SiteValueError(f"--deployment {text!r}: spaces and $ have no place in a pipeline's variable.")
    return text


def includes(system: System) -> list[ProjectFile]:
    """Return the files of the site's GitLab that each of its pipelines has to include."""
    return [ProjectFile(project=i.project, file=i.file, ref=i.ref) for i in system.ci.includes]


def places(system: System) -> list[str]:
    """Return the lines that every job begins with."""
    return [*_places(system), script("prepare.sh")]


def _places(system: System) -> list[str]:
    """Return the lines that say where things are; an ``after_script`` is a shell of its own and needs them again."""
    return [home(system), script("where.sh").rstrip()]


def _phase_job(system: System, phase: Phase) -> Job:
    batch = phase.tests and system.runner.executor == "batch"
    words = ["ci", "stage", phase.name, "--site", system.system]
    words += ["--lock"] if phase.name in LOCKED else []
    words += ["--after", phase.after] if phase.after else []
    rules = {
        "integration": [Rule(if_='$EXAWORKS_TIER == "smoke"', when="never"), Rule(when="on_success")],
        "scale": [
            Rule(if_='$EXAWORKS_TIER == "scale" && $EXAWORKS_TRIGGER == "schedule"'),
            Rule(if_='$EXAWORKS_TIER == "scale" && $CI_PIPELINE_SOURCE == "schedule"'),
        ],
    }
    return Job(
        stage=phase.name,
        tags=tags(system, batch=batch),
        rules=rules.get(phase.name, []),
        variables={**phase.times.variables, **_batch_variables(system, phase, batch=batch)},
        id_tokens=site_token(system),
        script=[
            exaworks(*words, "--", *phase.argv),
            *([exaworks("ci", "packages", "--site", system.system, "--to", PACKAGES)] if phase.makes_jobs else []),
        ],
        # Does nothing but where the stage itself was killed; then what there is of its run is still kept.
        after_script=[*_places(system), exaworks("ci", "collect", phase.name)] if phase.tests else [],
        resource_group=f"{slug(system)}-jobs",
        timeout=phase.times.timeout,
        # A test stage that did not pass is shown as a warning and the next one looks for itself; the verdict decides.
        allow_failure=phase.tests,
        interruptible=True,
        retry=RETRY,
        artifacts=stage_artifacts(system, phase.name, *([PACKAGES] if phase.makes_jobs else [])),
    )


def stage_artifacts(system: System, stage: str, *more: str) -> Artifacts:
    """Return what is kept of a stage: its own two files, and the outbox of each of its runs."""
    folder = f"{RESULTS}/{stage}"
    return Artifacts(
        name=f"{slug(system)}-{stage}",
        when="always",
        expire_in=KEPT,
        paths=[f"{folder}/stage.json", f"{folder}/stage.xml", *(f"{folder}/*/{name}" for name in OUTBOX), *more],
        reports={"junit": [f"{folder}/stage.xml", f"{folder}/*/junit.xml"]},
    )


def _own_job(
    system: System,
    stage: str,
    words: list[str],
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
        script=[exaworks("ci", *words)],
        timeout=own.timeout,
        allow_failure=allow_failure,
        retry=RETRY,
        coverage=coverage,
        when=when,
        artifacts=artifacts,
    )


def _packages(phase: Phase) -> Job:
    """Start the pipeline that the phase has made, one job a package, and end as it does."""
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
    """Warn where the collector does not answer: the results stay in the work directory and in the artifacts."""
    kept = Artifacts(
        name=f"{slug(system)}-spool", when="always", expire_in=KEPT, paths=[f"{RESULTS}/*/*/{n}" for n in OUTBOX]
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


def _verdict(system: System, deployment: str | None) -> Job:
    return _own_job(
        system,
        "report",
        ["verdict", "--site", system.system, *(["--deployment", deployment] if deployment else [])],
        coverage=r"/pass rate: (\d+(?:\.\d+)?)%/",
        when="always",
        artifacts=Artifacts(
            name=f"{slug(system)}-verdict",
            when="always",
            expire_in=KEPT,
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


def exaworks(*words: str) -> str:
    """Return the shell line that runs the command."""
    return f'"$EXAWORKS" {shlex.join(words)}'


def tags(system: System, *, batch: bool = False) -> list[str]:
    """Return the runner tags of a job that is a batch job, or of one that is not."""
    runner = system.runner
    own = runner.batch_tags if batch else runner.shell_tags
    return [*runner.tags, *own]


def _batch_variables(system: System, phase: Phase, *, batch: bool) -> dict[str, str]:
    if not batch:
        return fallback_parameters(system)
    given = _parameters(system, phase.name)
    return {**given, **(proxy(system, batch=True) if given else {})}


def fallback_parameters(system: System) -> dict[str, str]:
    """Return a small batch job's options for a stage of our own, where the site has nothing but a batch runner."""
    only_batch = system.runner.executor == "batch" and not system.runner.shell_tags
    return _parameters(system, "control") if only_batch else {}


def _parameters(system: System, tier: str) -> dict[str, str]:
    variable = system.ci.scheduler_parameters
    parameters = scheduler_parameters(system, tier)
    return {variable: parameters} if variable and parameters else {}


def proxy(system: System, *, batch: bool) -> dict[str, str]:
    """Return the variables that name the site's proxy where a job needs it."""
    network = system.network
    if network.proxy is None or (network.proxy_use is ProxyUse.COMPUTE and not batch):
        return {}
    proxied = {"http_proxy": network.proxy, "https_proxy": network.proxy}
    return {**proxied, "no_proxy": ",".join(network.no_proxy)} if network.no_proxy else proxied


def site_token(system: System) -> dict[str, IdToken]:
    """Return the ID token that the site's runner wants in every job, where it does."""
    token = system.ci.site_token
    return {token.variable: IdToken(aud=token.audience)} if token else {}


def _collector_token(system: System) -> dict[str, IdToken]:
    token = system.ci.collector_token
    if token is not None:
        return {token.variable: IdToken(aud=token.audience)}
    return {ID_TOKEN: IdToken(aud=system.collector.url)} if system.collector.url else {}


__all__ = ["Times", "home", "slug", "system_pipeline", "system_yaml"]
