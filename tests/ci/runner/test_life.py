"""The committed pipeline of each system lives its whole life on the recorded GitLab, through its site's runners.

The commands are the pipelines' own; only the cases are one short case of a repository, as EXAWORKS_CI_OPTIONS chooses
them. The whole set takes minutes; continuous integration runs one batch system.
"""

from __future__ import annotations

import io
import json
import re
import socket
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ci.results import OUTBOX
from site_configs.load import systems
from tests.ci.pipeline import collector
from tests.ci.runner.pipeline import Job, Pipeline, seconds
from tests.ci.runner.site import BANNER, LIMIT, ROOT, Site, pipeline_text, site
from tests.needs import need

pytestmark = [pytest.mark.needs("components"), pytest.mark.slow]
FILES = sorted(str(path.relative_to(ROOT / "ci/pipelines"))[:-4] for path in (ROOT / "ci/pipelines").glob("*/*.yml"))
NAMES = {system.system for system in systems({})}
SYSTEMS = [name for name in FILES if name in NAMES]
TOKEN = "glpat-not-a-real-one"
MERGE_REQUEST = {"CI_MERGE_REQUEST_IID": "5"}


def files_of(job: Job) -> dict[str, bytes]:
    """Return the files in the artifacts of a job."""
    packed = job.artifacts.get("archive")
    if packed is None:
        return {}
    archive = zipfile.ZipFile(io.BytesIO(packed))
    return {name: archive.read(name) for name in archive.namelist()}


def verdict_of(pipeline: Pipeline) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads(files_of(pipeline.jobs["verdict"])["results/verdict.json"])
    return verdict


def stages_of(pipeline: Pipeline) -> dict[str, tuple[str, str]]:
    return {stage["stage"]: (stage["result"], stage["text"]) for stage in verdict_of(pipeline)["stages"]}


def check_all_passed(pipeline: Pipeline) -> None:
    for name, result in pipeline.results.items():
        assert result == "success", f"{name}: {result}\n{pipeline.jobs[name].log[-3000:]}"


def check_outbox(pipeline: Pipeline) -> None:
    """Check that no other files of a run than its outbox are artifacts of any job."""
    files = "|".join(re.escape(name) for name in OUTBOX)
    allowed = re.compile(rf"results/(verdict\.(json|md)|[a-z-]+/(stage\.(json|xml)|[A-Za-z0-9-]+/({files})))")
    for job in pipeline.all:
        for name in files_of(job):
            assert allowed.fullmatch(name), f"{job.name} keeps {name}"


def check_batch_job(here: Site, job: Job) -> None:
    """Check that a stage of a batch runner was a job of the scheduler, with the options of its variable."""
    variable = here.system.ci.scheduler_parameters
    assert variable is not None
    options = job.spec["variables"][variable]
    account = "$EXAWORKS_ACCOUNT" in options
    expected = options.replace("$EXAWORKS_ACCOUNT", "abc123")
    (line,) = re.findall(r"Submitted batch job \S+ with (.*)", job.log)
    assert line.replace("'", "") == expected.replace("'", "").replace('"', "")
    assert not account or "abc123" in line, "GitLab replaces the reference to the account"


def check_users_folders(here: Site) -> None:
    """Check that nobody but the user may enter the folders of the runner."""
    for path in here.data.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    projects = list(here.data.glob("ciuser/builds/*/000/exaworks/sdk"))
    assert projects, "the work trees are below the user's own folder"
    assert not list(here.data.glob("ciuser/scripts/*/*/*")), "the scripts of ended jobs are removed"


def check_ended_runs(here: Site) -> None:
    """Check the two runs that their runner ended: closed as interrupted, with a record of each case.

    A scheduler gives a batch job only seconds between SIGTERM and SIGKILL, ten by default in PBS. Then a run may stay
    open, and the verdict reports that.
    """
    ended = [m["closed"] for m in here.manifests() if m["closed"] is None or m["closed"]["state"] != "complete"]
    assert len(ended) == 2
    for closed in ended:
        if closed is not None or not is_batch(here):
            assert (closed["state"], closed["missing"], closed["exit_code"]) == ("interrupted", 0, 130)


def is_batch(here: Site) -> bool:
    return here.scheduler != "local" and here.system.runner.executor == "batch"


@pytest.fixture
def here(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("EXAWORKS_ACCOUNT", "abc123")
    with site(request.param, tmp_path, need("components")) as here:
        here.gitlab.variables["EXAWORKS_GITLAB_TOKEN"] = TOKEN
        yield here


@pytest.mark.parametrize("here", ["anl/polaris"], indirect=True)
def test_a_batch_system_passes_through_its_shell_runner_and_its_batch_runner(here: Site) -> None:
    pipeline = here.finish(here.start(pipeline_text(here.system.system), MERGE_REQUEST))
    check_all_passed(pipeline)
    check_outbox(pipeline)
    check_users_folders(here)
    smoke, control = pipeline.jobs["smoke"], pipeline.jobs["control"]
    check_batch_job(here, smoke)
    assert "inside job" in smoke.log, "the stage runs inside its own batch job"
    assert "Submitted batch job" not in control.log, "the control case submits a job itself"
    assert BANNER in smoke.log, "the shell is a login shell, whose first output is the site's banner"
    assert {"archive", "junit"} == set(smoke.artifacts)
    assert stages_of(pipeline)["smoke"] == ("pass", "1 pass, 1 skip")
    assert pipeline.jobs["verdict"].coverage == 100.0
    assert [status["state"] for status in here.gitlab.statuses] == ["success"]
    assert here.gitlab.notes[1].startswith("<!-- exaworks anl/polaris -->\n### ✅ anl/polaris: passed")


@dataclass
class Life:
    """Two pipelines of one system: everything goes wrong in the first one, and nothing in the second."""

    here: Site
    bad: Pipeline
    good: Pipeline
    delivered: list[str]


def live(here: Site, folder: Path) -> Life:
    """Run the bad pipeline: the runner is lost, a stage runs out of time, one is cancelled, no collector answers.

    Then run a good one, which delivers the runs of both.
    """
    text = pipeline_text(here.system.system)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    here.gitlab.variables |= {"EXAWORKS_COLLECTOR_URL": f"http://localhost:{port}", "EXAWORKS_COLLECTOR_TOKEN": "x"}
    here.hold.touch()
    earlier = "control" if "\ncontrol:\n" in text else "setup"
    bad = here.start(
        text,
        {**MERGE_REQUEST, "EXAWORKS_TIER": "integration"},
        limits={"smoke": lambda pipeline: (600.0, 2 * pipeline.jobs[earlier].seconds + 30)},
    )
    first = next(name for name, runner in here.runners.items() if name in ("shell", "batch"))
    assert here.gitlab.wait(lambda: bad.jobs["setup"].status == "running", LIMIT)
    here.lose_runner(first)
    assert here.gitlab.wait(lambda: bad.jobs["setup"].attempt == 2, LIMIT), bad.results
    assert bad.jobs["setup"].status == "pending", "the job waits for another runner"
    here.replace_runner(first)
    here.wait_for(bad, "smoke")
    assert here.gitlab.wait(lambda: bad.jobs["smoke"].status == "failed", LIMIT), bad.jobs["smoke"].log
    here.running.unlink()
    here.gitlab.cancel(here.wait_for(bad, "integration"))
    here.finish(bad)
    here.hold.unlink()
    with collector(folder / "collector", port) as server:
        here.gitlab.variables["EXAWORKS_COLLECTOR_TOKEN"] = server.token
        good = here.finish(here.start(text, MERGE_REQUEST))
        delivered = [row[0] for row in server.rows("SELECT run_id FROM runs")]
    return Life(here, bad, good, delivered)


@pytest.mark.long
@pytest.mark.parametrize("here", SYSTEMS, indirect=True)
def test_a_system_survives_a_lost_runner_a_timeout_a_cancellation_and_a_dead_collector(
    here: Site, tmp_path: Path
) -> None:
    life = live(here, tmp_path)
    bad, good = life.bad, life.good
    # The runner was lost: GitLab gave the job to the next one.
    lost, again = (job for job in bad.all if job.name == "setup")
    assert (lost.failure, again.status) == ("stuck_or_timeout_failure", "success")
    # The script ran out of time before the job, so the results are kept; every failure is exit code 1 of the runner.
    smoke, integration = bad.jobs["smoke"], bad.jobs["integration"]
    assert (smoke.failure, bad.results["smoke"]) == ("job_execution_timeout", "warning")
    assert seconds(smoke.spec["timeout"]) - seconds(smoke.spec["variables"]["RUNNER_SCRIPT_TIMEOUT"]) == 600
    names = {Path(name).name for name in files_of(smoke)}
    assert {"stage.json", "stage.xml", "manifest.json", "records.jsonl"} <= names, smoke.log
    # The cancelled job ended its processes and the jobs that it had submitted.
    assert (integration.status, integration.attempt) == ("canceled", 1)
    check_ended_runs(here)
    assert not here.leftover(), "a process or a job outlives its run"
    # The verdict does not depend on the status of the jobs.
    assert (bad.status, bad.jobs["verdict"].status) == ("failed", "failed")
    judged = stages_of(bad)
    assert {judged["smoke"][0], judged["integration"][0]} == {"fail"}
    assert judged["setup"] == ("pass", "done")
    assert re.search("interrupted|not closed|did not end", judged["smoke"][1]), judged
    # A collector that does not answer is a warning, and the next pipeline delivers.
    assert bad.results["deliver"] == "warning"
    assert "a later pipeline delivers them" in bad.jobs["deliver"].log
    check_all_passed(good)
    assert sorted(life.delivered) == sorted(manifest["run_id"] for manifest in here.manifests())
    assert [status["state"] for status in here.gitlab.statuses] == ["failed", "success"]
    assert len(here.gitlab.notes) == 1, "the comment is updated"
    assert good.jobs["verdict"].coverage == 100.0
    for pipeline in (bad, good):
        check_outbox(pipeline)
        assert not [job.name for job in pipeline.all if TOKEN in job.log], "a token is in a log"
    check_users_folders(here)
    if is_batch(here):
        check_batch_job(here, good.jobs["smoke"])


def test_every_active_system_with_a_pipeline_is_in_the_set() -> None:
    assert {"llnl/dane", "anl/polaris", "local/workstation"} <= set(SYSTEMS)
    assert len(SYSTEMS) >= 5
