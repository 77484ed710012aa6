"""The recorded server: the API that runners use, and the part of GitLab's other API that the jobs themselves use.

Sources: https://docs.gitlab.com/development/cicd/ (a runner asks ``POST /api/v4/jobs/request``, and gets jobs whose
tags it has), ``network/gitlab.go`` of GitLab Runner (201 and 204 for a job, 202 and ``Content-Range`` for a part of the
log, 416 for a part that does not follow, ``Job-Status`` for a job that was cancelled), and
https://docs.gitlab.com/api/jobs/, …/commits/, …/notes/ for what the jobs call. A job of which nothing was heard for
``silence`` seconds has lost its runner; GitLab waits an hour and gives the reason ``stuck_or_timeout_failure``.
"""

from __future__ import annotations

import io
import json
import re
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.ci.runner.pipeline import DONE, Job, Limits, Pipeline, expanded

RUNNER = re.compile(r"/api/v4/jobs/(\d+)(/trace|/artifacts)?$")
PROJECT = 7
PROJECT_PATH = "exaworks/sdk"


@dataclass(frozen=True)
class Request:
    """One request that the server answered."""

    method: str
    path: str
    status: int


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the connection of a runner that was killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class GitLab:
    """One project with its pipelines and runners.

    repository, sha: what a job checks out. graceful: a cancelled job is first ``canceling``, so that its runner still
    runs after_script, as since GitLab 17.0. runners: tags by token.
    """

    repository: Path
    sha: str
    silence: float = 600.0
    graceful: bool = True
    variables: dict[str, str] = field(default_factory=dict)
    runners: dict[str, frozenset[str]] = field(default_factory=dict)
    pipelines: list[Pipeline] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[int, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.heard: dict[int, float] = {}
        self.lost: set[int] = set()
        self.changed = threading.Condition()
        self.server = _Server(("127.0.0.1", 0), _handler(self))
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        """The address, with a name that the sites' ``no_proxy`` has: their pipelines set a proxy for every request."""
        return f"http://localhost:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def start(
        self,
        text: str,
        variables: dict[str, str] | None = None,
        *,
        limits: Limits | None = None,
        parent: Pipeline | None = None,
    ) -> Pipeline:
        """Create a pipeline of a file's text, with the variables of whoever starts it."""
        with self.changed:
            number = 1000 * (len(self.pipelines) + 1)
            predefined = {
                "CI": "true",
                "CI_PROJECT_ID": str(PROJECT),
                "CI_PIPELINE_ID": str(number),
                "CI_PIPELINE_URL": f"{self.url}/{PROJECT_PATH}/-/pipelines/{number}",
                "CI_PIPELINE_SOURCE": "parent_pipeline" if parent is not None else "schedule",
                "CI_COMMIT_SHA": self.sha,
                "CI_SERVER_URL": self.url,
            }
            known = {**predefined, **self.variables, **(variables or {})}
            pipeline = Pipeline(text, known, first_id=number, limits=limits, parent=parent)
            self.pipelines.append(pipeline)
            pipeline.advance()
            self.changed.notify_all()
            return pipeline

    def wait(self, condition: Any, limit: float) -> bool:
        """Wait until a function of no arguments is true; meanwhile notice runners that are lost."""
        deadline = time.monotonic() + limit
        with self.changed:
            while not condition():
                self._notice_lost()
                if time.monotonic() > deadline:
                    return False
                self.changed.wait(0.1)
            return True

    def cancel(self, job: Job) -> None:
        """Cancel a running job, as its button does."""
        with self.changed:
            job.canceling = True
            if not self.graceful:
                job.status = "canceled"
            self.changed.notify_all()

    def hear_nothing_of(self, runner: str) -> None:
        """Treat the running jobs of a runner, by the beginning of its token, as if it had been silent for too long."""
        with self.changed:
            for job in (job for pipeline in self.pipelines for job in pipeline.all if job.status == "running"):
                if job.runner is not None and job.runner.startswith(runner):
                    self.lost.add(job.id)
            self.changed.notify_all()

    def _notice_lost(self) -> None:
        for pipeline in self.pipelines:
            for job in pipeline.all:
                silent = time.monotonic() - self.heard.get(job.id, float("inf")) > self.silence
                if job.status == "running" and (silent or job.id in self.lost):
                    pipeline.end(job, "failed", "stuck_or_timeout_failure")

    # -- the API of runners -------------------------------------------------------------------------------------------

    def request_job(self, body: dict[str, Any]) -> tuple[int, Any]:
        tags = self.runners.get(str(body.get("token")))
        if tags is None:
            return 403, {"message": "403 Forbidden"}
        for pipeline in self.pipelines:
            for job in pipeline.jobs.values():
                if job.status == "pending" and "trigger" in job.spec:
                    self._start_child(pipeline, job)
                elif job.status == "pending" and job.tags <= tags and self._is_free(job):
                    pipeline.begin(job, str(body["token"]))
                    self.heard[job.id] = time.monotonic()
                    return 201, self._payload(pipeline, job)
        return 204, None

    def _is_free(self, job: Job) -> bool:
        """Return whether no other job of its resource group runs, in any pipeline."""
        group = job.spec.get("resource_group")
        others = [other for pipeline in self.pipelines for other in pipeline.all if other.status == "running"]
        return group is None or all(other.spec.get("resource_group") != group for other in others)

    def _start_child(self, pipeline: Pipeline, job: Job) -> None:
        """Start the child pipeline whose file an earlier job has kept as an artifact."""
        (include,) = job.spec["trigger"]["include"]
        packed = pipeline.jobs[include["job"]].artifacts["archive"]
        text = zipfile.ZipFile(io.BytesIO(packed)).read(include["artifact"]).decode()
        kept = {name: value for name, value in pipeline.variables.items() if not name.startswith("CI_")}
        given = {name: expanded(str(text), pipeline.variables) for name, text in job.spec.get("variables", {}).items()}
        job.status = "running"
        job.child = self.start(text, {**given, **kept}, limits=pipeline.limits, parent=pipeline)

    def _payload(self, pipeline: Pipeline, job: Job) -> dict[str, Any]:
        own = {"CI_JOB_ID": str(job.id), "CI_JOB_NAME": job.name, "CI_JOB_TOKEN": job.token, "CI_JOB_STAGE": job.stage}
        tokens = {name: f"jwt.{token['aud']}" for name, token in job.spec.get("id_tokens", {}).items()}
        job.sent = {**job.variables, **own, **tokens}
        default = pipeline.tree.get("default", {})
        script = [*job.spec.get("before_script", default.get("before_script", [])), *job.spec.get("script", [])]
        steps = [{"name": "script", "script": script, "timeout": int(job.timeout), "when": "on_success"}]
        if job.spec.get("after_script"):
            steps.append({"name": "after_script", "script": job.spec["after_script"], "timeout": 300, "when": "always"})
        return {
            "id": job.id,
            "token": job.token,
            "job_info": {"id": job.id, "name": job.name, "stage": job.stage, "project_id": PROJECT},
            "git_info": {"repo_url": str(self.repository), "ref": "main", "sha": self.sha, "depth": 20},
            "runner_info": {"timeout": job.timeout},
            "variables": [{"key": name, "value": value, "masked": False} for name, value in job.sent.items()],
            "steps": steps,
            "artifacts": _artifacts(job.spec.get("artifacts")),
            "dependencies": [
                {"id": other.id, "name": other.name, "token": other.token} for other in pipeline.dependencies(job)
            ],
        }

    def find(self, number: int) -> tuple[Pipeline, Job] | None:
        return next(((p, job) for p in self.pipelines for job in p.all if job.id == number), None)

    def update(self, pipeline: Pipeline, job: Job, body: dict[str, Any]) -> tuple[int, Any]:
        """Set the status that a runner reports at the end of a job; a cancelled job stays cancelled."""
        if job.status in DONE:
            return 403, {"message": "403 Forbidden - Job is not running"}
        if body.get("state") in ("success", "failed"):
            status = "canceled" if job.canceling else str(body["state"])
            pipeline.end(job, status, None if status != "failed" else str(body.get("failure_reason")))
            self._end_parents()
        return 200, None

    def _end_parents(self) -> None:
        """End every trigger job whose child has ended, with the child's status (``strategy: depend``)."""
        for pipeline in self.pipelines:
            for job in pipeline.all:
                if job.status == "running" and job.child is not None and job.child.status != "running":
                    pipeline.end(job, job.child.status)

    def append(self, job: Job, start: int, data: bytes) -> tuple[int, dict[str, str]]:
        """Append a part of the log; the answer has the range that the server has, and the status of the job."""
        headers = {"Job-Status": job.status if job.status != "running" or not job.canceling else "canceling"}
        if job.status in DONE:
            return 403, headers
        if start != len(job.trace):
            return 416, {**headers, "Range": f"0-{len(job.trace)}"}
        job.trace += data
        return 202, {**headers, "Range": f"0-{len(job.trace)}"}

    # -- the API that the jobs use ------------------------------------------------------------------------------------

    def project(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer the requests of ``exaworks ci status`` and ``exaworks ci reports``."""
        if method == "POST" and path == f"/statuses/{self.sha}":
            self.statuses.append(body)
            return 201, {"id": len(self.statuses)}
        if path == "/merge_requests/5/notes":
            if method == "POST":
                self.notes[len(self.notes) + 1] = body["body"]
                return 201, {"id": len(self.notes), "body": body["body"]}
            return 200, [{"id": number, "body": text} for number, text in self.notes.items()]
        if match := re.fullmatch(r"/merge_requests/5/notes/(\d+)", path):
            self.notes[int(match[1])] = body["body"]
            return 200, {"id": int(match[1]), "body": body["body"]}
        if match := re.fullmatch(r"/pipelines/(\d+)/(bridges|jobs)", path):
            pipeline = next((one for one in self.pipelines if one.id == int(match[1])), None)
            if pipeline is not None:
                return 200, _listed(pipeline, bridges=match[2] == "bridges")
        if match := re.fullmatch(r"/jobs/(\d+)/artifacts", path):
            found = self.find(int(match[1]))
            if found is not None and "archive" in found[1].artifacts:
                return 200, found[1].artifacts["archive"]
        return 404, {"message": f"404 {path} Not Found"}


def _listed(pipeline: Pipeline, *, bridges: bool) -> list[dict[str, Any]]:
    if bridges:
        children = [(job, job.child) for job in pipeline.jobs.values() if job.child is not None]
        return [{"id": job.id, "name": job.name, "downstream_pipeline": {"id": child.id}} for job, child in children]
    kept = [job for job in pipeline.jobs.values() if "archive" in job.artifacts]
    return [{"id": job.id, "name": job.name, "artifacts_file": {"filename": "artifacts.zip"}} for job in kept]


def _artifacts(spec: dict[str, Any] | None) -> list[dict[str, Any]]:
    if spec is None:
        return []
    common = {"when": spec.get("when", "on_success"), "expire_in": spec.get("expire_in", "")}
    listed = [{**common, "artifact_type": "archive", "artifact_format": "zip", "paths": spec.get("paths", [])}]
    for kind, paths in spec.get("reports", {}).items():
        listed.append({**common, "when": "always", "artifact_type": kind, "artifact_format": "gzip", "paths": paths})
    return listed


def form_file(body: bytes, content_type: str) -> bytes:
    """Return the file of a multipart form, as a runner uploads artifacts."""
    boundary = b"--" + content_type.partition("boundary=")[2].strip('"').encode()
    part = next(part for part in body.split(boundary) if b'name="file"' in part)
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def _handler(gitlab: GitLab) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            path, _, query = self.path.partition("?")
            body = self._body()
            with gitlab.changed:
                status, answer, headers = self._answer(path, query, body)
                gitlab.requests.append(Request(self.command, path, status))
                gitlab.changed.notify_all()
            data = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            kind = "application/zip" if isinstance(answer, bytes) else "application/json"
            for name, value in {"Content-Type": kind, **headers}.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if status != 204:
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = _do

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data

        def _answer(self, path: str, query: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
            if path == "/api/v4/jobs/request":
                return (*gitlab.request_job(json.loads(body)), {})
            if match := RUNNER.fullmatch(path):
                return self._of_job(int(match[1]), match[2] or "", query, body)
            prefix = f"/api/v4/projects/{PROJECT}"
            if path.startswith(prefix):
                known = gitlab.variables.get("EXAWORKS_GITLAB_TOKEN")
                tokens = {job.token for pipeline in gitlab.pipelines for job in pipeline.all} | {known}
                given = self.headers.get("PRIVATE-TOKEN") or self.headers.get("JOB-TOKEN")
                if given is None or given not in tokens:
                    return 401, {"message": "401 Unauthorized"}, {}
                decoded = json.loads(body) if body else None
                return (*gitlab.project(self.command, path.removeprefix(prefix), decoded), {})
            return 404, {"message": "404 Not Found"}, {}

        def _of_job(self, number: int, what: str, query: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
            found = gitlab.find(number)
            if found is None:
                return 404, None, {}
            pipeline, job = found
            update = json.loads(body) if self.command == "PUT" else {}
            if (self.headers.get("JOB-TOKEN") or update.get("token")) != job.token:
                return 403, {"message": "403 Forbidden"}, {}
            gitlab.heard[number] = time.monotonic()
            if self.command == "PUT":
                return (*gitlab.update(pipeline, job, update), {"Job-Status": job.status})
            if what == "/trace":
                start = int(self.headers["Content-Range"].partition("-")[0])
                status, headers = gitlab.append(job, start, body)
                return status, None, headers
            if self.command == "GET":
                packed = job.artifacts.get("archive")
                return (200, packed, {}) if packed is not None else (404, None, {})
            if job.status != "running" or job.canceling:
                return 403, {"message": "403 Forbidden - Job is not running"}, {}
            kind = dict(part.split("=", 1) for part in query.split("&") if part)["artifact_type"]
            job.artifacts[kind] = form_file(body, self.headers["Content-Type"])
            return 201, {"id": number}, {}

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
