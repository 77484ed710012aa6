"""The recorded GitLab, the runner and the executor keep the documented protocol, with jobs that are a line of shell.

One pipeline has a job for each behaviour; it runs once for all tests.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from site_configs.load import load_text
from tests.ci.pipeline import BOX
from tests.ci.runner.gitlab import GitLab
from tests.ci.runner.pipeline import Pipeline
from tests.ci.runner.site import LIMIT, USER, Site, repository

TEXT = """
stages: [first, second, third]
variables: {GREETING: hello}
default:
  before_script: ["NAME=world"]

passes:
  stage: first
  tags: [shell]
  script: ['echo "$GREETING $NAME" >kept.txt', 'echo $FROM_PROFILE >profile.txt']
  artifacts: {when: always, paths: ["*.txt"], reports: {junit: [kept.txt]}}

fails:
  stage: first
  tags: [shell]
  script: ["echo before >kept.txt", "exit 7", "echo after >later.txt"]
  after_script: ['echo "in after_script: ${NAME:-unset}"']
  allow_failure: true
  artifacts: {when: always, paths: ["*.txt"]}

slow:
  stage: first
  tags: [shell]
  script: ["echo started >kept.txt", "exec sleep 600"]
  after_script: ["echo after >late.txt"]
  allow_failure: true
  artifacts: {when: always, paths: ["*.txt"]}

stuck:
  stage: first
  tags: [shell]
  script: ["echo started >kept.txt", "exec sleep 600"]
  after_script: ["echo after"]
  allow_failure: true
  artifacts: {when: always, paths: ["*.txt"]}

broken:
  stage: first
  tags: [broken]
  script: ["true"]
  retry: {max: 1, when: [runner_system_failure]}
  allow_failure: true

cancelled:
  stage: first
  tags: [shell]
  script: ["trap 'echo got SIGTERM; exit 1' TERM", "touch $MARKER", "while true; do sleep 0.1; done"]
  after_script: ["echo in after_script"]
  allow_failure: true
  artifacts: {when: always, paths: ["*"]}

second:
  stage: second
  tags: [shell]
  script: ["cat kept.txt profile.txt", "ls"]
  needs: [passes]

never:
  stage: third
  tags: [shell]
  script: ["true"]

always:
  stage: third
  tags: [shell]
  when: always
  script: ["true"]
"""


@dataclass
class Run:
    """The pipeline after its end."""

    site: Site
    pipeline: Pipeline

    def log(self, name: str) -> str:
        return self.pipeline.jobs[name].log

    def files(self, name: str) -> dict[str, str]:
        packed = self.pipeline.jobs[name].artifacts.get("archive")
        if packed is None:
            return {}
        archive = zipfile.ZipFile(io.BytesIO(packed))
        return {member: archive.read(member).decode().strip() for member in archive.namelist()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("protocol")
    gitlab = GitLab(*repository(folder / "project"))
    system = load_text(BOX.replace("DEPLOYMENT", "path"), "test")
    here = Site(system, folder, gitlab, "local")
    home, marker = folder / "home", folder / "marker"
    home.mkdir()
    (home / ".bash_profile").write_text("echo a banner\nexport FROM_PROFILE=login\n")
    limits = {"slow": lambda pipeline: (600.0, 2.0), "stuck": lambda pipeline: (6.0, 600.0)}
    try:
        here.add_runner("shell", "shell", ["shell"])
        here.add_runner("second", "shell", ["shell"])
        here.add_runner("broken", "shell", ["broken"])
        configuration = json.loads((folder / "broken.jacamar.json").read_text())
        (folder / "broken.jacamar.json").write_text(json.dumps({**configuration, "data_dir": "/proc/nowhere"}))
        pipeline = gitlab.start(TEXT, {"MARKER": str(marker)}, limits=limits)
        assert gitlab.wait(marker.exists, LIMIT), {job.name: job.log for job in pipeline.all}
        gitlab.cancel(pipeline.jobs["cancelled"])
        here.finish(pipeline)
        yield Run(here, pipeline)
    finally:
        for name in list(here.runners):
            here.lose_runner(name)
        gitlab.close()


def test_a_passing_job_sends_its_log_in_order_and_its_artifacts_by_type(run: Run) -> None:
    job = run.pipeline.jobs["passes"]
    assert (job.status, job.failure, set(job.artifacts)) == ("success", None, {"archive", "junit"})
    assert run.files("passes") == {"kept.txt": "hello world", "profile.txt": "login"}
    assert job.log.index('$ echo "$GREETING') < job.log.index("Uploading 2 files")


def test_a_script_runs_in_a_login_shell_with_the_variables_of_the_job_alone(run: Run) -> None:
    assert run.files("passes")["profile.txt"] == "login"
    assert "a banner" in run.log("passes")


def test_every_exit_code_becomes_one_and_the_script_ends_at_the_first_failure(run: Run) -> None:
    job = run.pipeline.jobs["fails"]
    assert (job.status, job.failure) == ("failed", "script_failure")
    assert "exit status 7" in job.log, "the executor saw 7, and told the runner 1"
    assert run.files("fails") == {"kept.txt": "before"}


def test_after_script_runs_after_a_failure_in_a_shell_of_its_own(run: Run) -> None:
    assert "in after_script: unset" in run.log("fails")


def test_a_script_that_runs_out_of_time_leaves_its_artifacts_and_runs_after_script(run: Run) -> None:
    job = run.pipeline.jobs["slow"]
    assert (job.status, job.failure) == ("failed", "job_execution_timeout")
    assert run.files("slow") == {"kept.txt": "started", "late.txt": "after"}


def test_a_job_that_runs_out_of_time_loses_its_artifacts(run: Run) -> None:
    job = run.pipeline.jobs["stuck"]
    assert (job.status, job.failure, job.artifacts) == ("failed", "job_execution_timeout", {})
    assert "echo after" not in job.log


def test_a_cancelled_job_gets_sigterm_then_runs_after_script_and_keeps_nothing(run: Run) -> None:
    job = run.pipeline.jobs["cancelled"]
    assert (job.status, job.artifacts) == ("canceled", {})
    assert job.log.index("got SIGTERM") < job.log.index("in after_script\n")


def test_a_failure_of_the_executor_is_one_of_the_runner_and_is_repeated(run: Run) -> None:
    attempts = [job for job in run.pipeline.all if job.name == "broken"]
    assert [job.failure for job in attempts] == ["runner_system_failure"] * 2
    assert all("Jacamar:" in job.log for job in attempts)


def test_a_job_gets_the_artifacts_that_it_needs_in_a_clean_work_tree(run: Run) -> None:
    log = run.log("second")
    assert "hello world\nlogin\n" in log
    assert log.rstrip().endswith("README\nkept.txt\nprofile.txt\na banner") or "README\nkept.txt\nprofile.txt" in log


def test_a_job_after_a_cancelled_one_starts_only_if_it_always_does(run: Run) -> None:
    assert run.pipeline.results["always"] == "success"
    assert run.pipeline.results["never"] == "skipped"
    assert run.pipeline.status == "canceled"


def test_the_folders_of_a_user_can_be_entered_by_nobody_else(run: Run) -> None:
    modes = {path.stat().st_mode & 0o777 for path in (run.site.data / USER).rglob("*") if path.parent.name == USER}
    assert modes == {0o700}
    assert not list((run.site.data / USER / "scripts").glob("*/*/*")), "scripts are removed when their job has ended"


def test_the_server_refuses_what_gitlab_refuses(run: Run) -> None:
    gitlab, job = run.site.gitlab, run.pipeline.jobs["passes"]
    url = f"{gitlab.url}/api/v4/jobs"
    assert requests.post(f"{url}/request", json={"token": "unknown"}, timeout=10).status_code == 403
    known = next(iter(gitlab.runners))
    assert requests.post(f"{url}/request", json={"token": known}, timeout=10).status_code == 204
    headers = {"JOB-TOKEN": job.token, "Content-Range": "0-1"}
    late = requests.patch(f"{url}/{job.id}/trace", data=b"x", headers=headers, timeout=10)
    assert (late.status_code, late.headers["Job-Status"]) == (403, "success")
    wrong = {**headers, "JOB-TOKEN": "other"}
    assert requests.patch(f"{url}/{job.id}/trace", data=b"x", headers=wrong, timeout=10).status_code == 403
    assert requests.put(f"{url}/{job.id}", json={"token": job.token, "state": "failed"}, timeout=10).status_code == 403
    assert requests.get(f"{url}/99999/artifacts", timeout=10).status_code == 404
    job.status = "running"
    gap = requests.patch(f"{url}/{job.id}/trace", data=b"x", headers={**headers, "Content-Range": "9-9"}, timeout=10)
    job.status = "success"
    assert (gap.status_code, gap.headers["Range"]) == (416, f"0-{len(job.trace)}")
    kinds = {(request.method, request.path.rpartition("/")[2]) for request in gitlab.requests}
    assert {("POST", "request"), ("PATCH", "trace"), ("POST", "artifacts"), ("GET", "artifacts")} <= kinds
