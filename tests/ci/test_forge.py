"""GitLab's API: the real python-gitlab sends requests to a simulated GitLab server."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ci.errors import GitLabError
from ci.forge import children, comment
from exaworks_sdk.cli import main

TOKEN = "glpat-not-a-real-one"


class Forge:
    """A simulated GitLab with one project, one pipeline and one merge request."""

    def __init__(self) -> None:
        self.notes: dict[int, str] = {1: "a person's comment"}
        self.statuses: list[dict[str, Any]] = []
        self.packed: dict[int, bytes] = {}
        self.tokens: set[str | None] = set()
        self.refuse = False
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            do_PUT = do_POST

            def _answer(self, body: Any) -> None:
                forge.tokens.add(self.headers.get("PRIVATE-TOKEN") or self.headers.get("JOB-TOKEN"))
                status, answer = (403, {"message": "no"}) if forge.refuse else forge.answer(self.path, body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/zip" if isinstance(answer, bytes) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        path = path.partition("?")[0].removeprefix("/api/v4/projects/7")
        if path == "/statuses/abc" and body:
            self.statuses.append(body)
            return 201, {"id": 1}
        if path == "/merge_requests/5/notes":
            if body:
                self.notes[max(self.notes) + 1] = body["body"]
                return 201, {"id": max(self.notes), **body}
            return 200, [{"id": number, "body": text} for number, text in self.notes.items()]
        if path.startswith("/merge_requests/5/notes/"):
            self.notes[int(path.rsplit("/", 1)[1])] = body["body"]
            return 200, {}
        if path == "/pipelines/1/bridges":
            running = {"id": 10, "name": "test-box", "downstream_pipeline": {"id": 2}}
            return 200, [running, {"id": 11, "name": "other", "downstream_pipeline": None}]
        if path == "/pipelines/2/jobs":
            return 200, [{"id": n, "name": f"job{n}", "artifacts_file": {"size": 1}} for n in self.packed] + [
                {"id": 99}
            ]
        if path.startswith("/jobs/"):
            return 200, self.packed[int(path.split("/")[2])]
        return 404, {"message": path}

    @property
    def environ(self) -> dict[str, str]:
        host, port = self.server.server_address[:2]
        return {
            "CI_SERVER_URL": f"http://{host!s}:{port}",
            "CI_PROJECT_ID": "7",
            "CI_PIPELINE_ID": "1",
            "CI_COMMIT_SHA": "abc",
            "CI_MERGE_REQUEST_IID": "5",
            "CI_PIPELINE_URL": "https://gitlab.example.org/p/1",
            "EXAWORKS_GITLAB_TOKEN": TOKEN,
        }


@pytest.fixture
def forge() -> Iterator[Forge]:
    server = Forge()
    yield server
    server.server.shutdown()
    server.server.server_close()
    server.thread.join(10)


def packed(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return buffer.getvalue()


def test_a_merge_request_has_one_comment_for_each_system_which_is_updated(forge: Forge) -> None:
    assert comment("test/box", "first", "failed", forge.environ) == "commit status set, comment created"
    comment("test/other", "other", "success", forge.environ)
    assert comment("test/box", "second", "success", forge.environ) == "commit status set, comment updated"
    assert list(forge.notes.values()) == [
        "a person's comment",
        "<!-- exaworks test/box -->\nsecond",
        "<!-- exaworks test/other -->\nother",
    ]
    assert [(status["name"], status["state"]) for status in forge.statuses] == [
        ("exaworks test/box", "failed"),
        ("exaworks test/other", "success"),
        ("exaworks test/box", "success"),
    ]
    assert forge.tokens == {TOKEN}


def test_without_a_merge_request_only_the_commit_has_a_status(forge: Forge) -> None:
    environ = {name: value for name, value in forge.environ.items() if name != "CI_MERGE_REQUEST_IID"}
    assert comment("test/box", "text", "success", environ) == "commit status set"
    assert len(forge.notes) == 1


def test_a_refusal_names_the_scope_of_the_token_and_not_the_token(forge: Forge) -> None:
    forge.refuse = True
    with pytest.raises(GitLabError) as refused:
        comment("test/box", "text", "success", forge.environ)
    assert "scope api" in refused.value.message
    assert TOKEN not in refused.value.message


def test_outside_a_job_the_missing_variable_is_named() -> None:
    with pytest.raises(GitLabError, match="is not set: this command works only in a GitLab job"):
        comment("test/box", "text", "success", {})


def test_the_parent_gets_the_results_of_its_children_and_no_other_artifacts(forge: Forge, tmp_path: Path) -> None:
    forge.packed = {
        20: packed(results__smoke__stage_dot_xml="<a/>", results__smoke__run1__junit_dot_xml="<b/>"),
        21: packed(results__smoke__run1__private__secret="x", results__control__stage_dot_json="{}"),
        22: packed(evil_dot__x="y") + b"",
    }
    name = "../../outside"
    forge.packed[23] = packed(**{name: "z"})
    assert children(forge.environ, tmp_path / "results", lambda text: None) == 2
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "results/test-box/control/stage.json",
        "results/test-box/smoke/run1/junit.xml",
        "results/test-box/smoke/stage.xml",
    ]


def test_the_jobs_own_token_is_used_if_no_other_is_given(forge: Forge, tmp_path: Path) -> None:
    environ = {**forge.environ, "CI_JOB_TOKEN": "job-token"}
    del environ["EXAWORKS_GITLAB_TOKEN"]
    assert children(environ, tmp_path, lambda text: None) == 0
    assert forge.tokens == {"job-token"}


def test_artifacts_that_are_too_large_are_refused(
    forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ci.forge.LARGEST", 10)
    forge.packed = {20: packed(results__smoke__stage_dot_xml="x" * 11)}
    with pytest.raises(GitLabError, match="have more than 10 bytes"):
        children(forge.environ, tmp_path, lambda text: None)


@pytest.mark.parametrize(
    "result, infra, state",
    [
        ("pass", "fail", "success"),
        ("fail", "warn", "failed"),
        ("infra", "warn", "success"),
        ("infra", "fail", "failed"),
    ],
)
def test_the_status_of_the_commit_is_the_verdict(
    forge: Forge, tmp_path: Path, result: str, infra: str, state: str
) -> None:
    (tmp_path / "verdict.json").write_text(json.dumps({"result": result, "infra": infra}))
    (tmp_path / "verdict.md").write_text("### the matrix\n")
    arguments = ["ci", "status", "--site", "test/box", "--results", str(tmp_path)]
    done = CliRunner().invoke(main, arguments, env=forge.environ)
    assert done.exit_code == 0, done.output
    assert [status["state"] for status in forge.statuses] == [state]
    assert forge.notes[2].endswith("### the matrix\n")


def test_without_a_verdict_nothing_is_reported(forge: Forge, tmp_path: Path) -> None:
    arguments = ["ci", "status", "--site", "test/box", "--results", str(tmp_path)]
    done = CliRunner().invoke(main, arguments, env=forge.environ)
    assert done.exit_code == 2
    assert "has no verdict to report" in done.output
    assert not forge.statuses
