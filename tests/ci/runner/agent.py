"""The runner: asks for jobs, runs their stages through a custom executor, and sends log, artifacts and status.

    python agent.py run CONFIGURATION            until it is ended
    python agent.py artifacts-uploader …         in a stage's script, as the helper of GitLab Runner
    python agent.py artifacts-downloader …

Sources:
- https://docs.gitlab.com/runner/executors/custom/ : the order of the stages, their names, ``CUSTOM_ENV_``, the exit
  codes, SIGTERM to the process group of the driver, three attempts to prepare.
- https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts : RUNNER_SCRIPT_TIMEOUT
  ends the script alone; after_script and artifacts follow. The timeout of the job ends everything: no artifacts are
  kept.
- https://docs.gitlab.com/ci/yaml/script/ and ``artifacts:when`` : after_script also runs after a failure and, since
  17.0, after a cancellation; its failure changes nothing.
- ``network/trace.go`` of GitLab Runner: the log is sent in parts, and the answer tells whether the job was cancelled.

It imports nothing of the project, so that it runs by its path. The helpers of a stage import the standard library only,
since a pipeline starts dozens of them.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""As Go's client, which is the runner's, it does not use the proxy of a job for an address of this machine."""

BUILD_FAILURE, SYSTEM_FAILURE = 1, 2
PREPARE_ATTEMPTS = 3
POLL = 0.1
GRACEFUL_KILL = 120.0
"""Seconds between SIGTERM and SIGKILL, as the default of Jacamar's ``kill_timeout``."""
PROJECT_PATH = "exaworks/sdk"


class JobEnded(Exception):
    """The job does not go on. ``reason`` is GitLab's failure reason, or None if the job was cancelled."""

    def __init__(self, reason: str | None, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Log:
    """The log of a job. ``send`` appends what is new on the server and returns the status of the job there."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.headers = f"{url}/trace", {"JOB-TOKEN": token}
        self.data = bytearray()
        self.sent = 0
        self.status = "running"

    def write(self, text: bytes | str) -> None:
        self.data += text if isinstance(text, bytes) else text.encode()

    def send(self) -> str:
        import requests

        part = bytes(self.data[self.sent :])
        headers = {**self.headers, "Content-Range": f"{self.sent}-{self.sent + len(part)}"}
        answer = requests.patch(self.url, data=part, headers=headers, timeout=120)
        if answer.status_code == 202:
            self.sent += len(part)
        elif answer.status_code == 416:
            self.sent = int(answer.headers["Range"].partition("-")[2])
        self.status = answer.headers.get("Job-Status", "canceled")
        return self.status


class Build:
    """One job on this runner."""

    def __init__(self, runner: Mapping[str, Any], job: Mapping[str, Any], temporary: Path) -> None:
        self.runner, self.job, self.temporary = runner, job, temporary
        self.url = f"{runner['url']}/api/v4/jobs/{job['id']}"
        self.log = Log(self.url, job["token"])
        self.deadline = time.monotonic() + float(job["runner_info"]["timeout"])
        self.given = {variable["key"]: variable["value"] for variable in job["variables"]}
        self.given |= {"CI_RUNNER_SHORT_TOKEN": runner["token"][:8], "CI_CONCURRENT_ID": "0"}
        self.response = temporary / "job.json"
        self.response.write_text(json.dumps(job))
        self.job_env: dict[str, str] = {}
        self.cancelled = False
        self.variables: dict[str, str] = {}
        self.project = Path()

    def run(self) -> None:
        """Run the job to its end and report its status."""
        reason: str | None = None
        state = "failed"
        try:
            self._configure()
            before = ["prepare_script", "get_sources", *(["download_artifacts"] if self.job["dependencies"] else [])]
            for stage in before:
                self._stage(stage, self.deadline, required=True)
            failure = self._scripts()
            state, reason = ("success", None) if failure is None else ("failed", failure)
        except JobEnded as ended:
            self.log.write(f"ERROR: Job failed: {ended}\n")
            reason = ended.reason
        finally:
            if self.job_env:
                self._driver(["cleanup"], time.monotonic() + GRACEFUL_KILL, abortable=False)
        self._report(state, reason)

    def _scripts(self) -> str | None:
        """Run script and after_script, upload the artifacts, and return the reason of a failure."""
        scripts = {step["name"]: step["script"] for step in self.job["steps"]}
        try:
            limit = self._limit("RUNNER_SCRIPT_TIMEOUT", self.deadline - time.monotonic())
            failure = _reason(self._stage("step_script", limit, scripts["script"]))
        except JobEnded as ended:
            if time.monotonic() >= self.deadline or (ended.reason is None and self.log.status == "canceled"):
                raise
            self.log.write(f"WARNING: step_script could not run to completion: {ended}\n")
            failure = ended.reason or "canceled"
        if "after_script" in scripts:
            with contextlib.suppress(JobEnded):
                self._stage("after_script", self._limit("RUNNER_AFTER_SCRIPT_TIMEOUT", 300.0), scripts["after_script"])
            self._check_deadline()
        good = failure is None
        kept = ("always", "on_success" if good else "on_failure")
        uploads = [self._uploader(artifact) for artifact in self.job["artifacts"] if artifact["when"] in kept]
        if uploads:
            self._stage(f"upload_artifacts_{kept[1]}", self.deadline, helper="\n".join(uploads))
        return failure

    def _limit(self, variable: str, default: float) -> float:
        """Return the time at which a script has to end: of its own variable, but not after the timeout of the job."""
        return min(time.monotonic() + (_seconds(self.variables.get(variable)) or default), self.deadline)

    def _check_deadline(self) -> None:
        if time.monotonic() >= self.deadline:
            raise JobEnded("job_execution_timeout", "execution took longer than the timeout of the job")

    # -- the stages ---------------------------------------------------------------------------------------------------

    def _configure(self) -> None:
        code, output = self._driver(["config"], self.deadline, show=False)
        if code:
            raise JobEnded("runner_system_failure", f"config: exit code {code}: {output}")
        answer = json.loads(output)
        self.job_env = {name: str(value) for name, value in answer.get("job_env", {}).items()}
        self.project = Path(answer["builds_dir"]) / PROJECT_PATH
        self.given |= {"CI_BUILDS_DIR": answer["builds_dir"], "CI_PROJECT_DIR": str(self.project)}
        self.variables = {name: _expanded(value, self.given) for name, value in self.given.items()}
        for _ in range(PREPARE_ATTEMPTS):
            code, output = self._driver(["prepare"], self.deadline)
            if code == 0:
                return
        raise JobEnded("runner_system_failure", f"prepare failed {PREPARE_ATTEMPTS} times")

    def _stage(
        self,
        name: str,
        deadline: float,
        script: list[str] | None = None,
        *,
        helper: str | None = None,
        required: bool = False,
    ) -> int:
        path = self.temporary / f"{name}.sh"
        path.write_text(self._script(name, script or [], helper))
        path.chmod(0o755)
        code, _ = self._driver(["run", str(path), name], deadline)
        if code and required:
            raise JobEnded(_reason(code), f"{name}: exit code {code}")
        return code

    def _script(self, name: str, script: list[str], helper: str | None) -> str:
        """Return the text of a stage's script: the variables, the folder, then each command after a line with it."""
        lines = [f"export {key}={shlex.quote(value)}" for key, value in self.variables.items()]
        if name == "prepare_script":
            lines.append('echo "Running on $(hostname)..."')
        elif name == "get_sources":
            lines += self._sources()
        else:
            lines.append(f"cd {shlex.quote(str(self.project))}")
        if name == "download_artifacts":
            lines += [
                f"JOB_TOKEN={other['token']} {self._helper('artifacts-downloader')} --id {other['id']}"
                for other in self.job["dependencies"]
            ]
        for command in script:
            first, *more = command.splitlines() or [""]
            lines += [
                f"echo {shlex.quote('$ ' + first + (' # collapsed multi-line command' if more else ''))}",
                command,
            ]
        body = "\n".join([*lines, helper or "", "exit 0"])
        return f"#!/usr/bin/env bash\nset -eo pipefail\nset +o noclobber\n: | eval {shlex.quote(body)}\nexit 0\n"

    def _sources(self) -> list[str]:
        source = self.job["git_info"]
        folder = shlex.quote(str(self.project))
        return [
            "git config --global --replace-all safe.directory '*'",
            f"[ -d {folder}/.git ] || git init -q {folder}",
            f"cd {folder}",
            f"git fetch -q {shlex.quote(source['repo_url'])} {source['ref']}",
            f"git checkout -q -f {source['sha']}",
            "git clean -ffdxq",
            f"git remote add origin {shlex.quote(source['repo_url'])} 2>/dev/null || true",
        ]

    def _helper(self, name: str) -> str:
        argv = [sys.executable, "-I", str(Path(__file__).resolve()), name, "--url", f"{self.runner['url']}/api/v4"]
        return shlex.join(argv)

    def _uploader(self, artifact: Mapping[str, Any]) -> str:
        options = ["--id", str(self.job["id"]), "--type", artifact["artifact_type"]]
        options += ["--format", artifact["artifact_format"], "--expire-in", artifact["expire_in"]]
        options += [word for path in artifact["paths"] for word in ("--path", path)]
        return f"JOB_TOKEN={self.job['token']} {self._helper('artifacts-uploader')} {shlex.join(options)}"

    # -- the driver ---------------------------------------------------------------------------------------------------

    def _driver(
        self, arguments: list[str], deadline: float, *, show: bool = True, abortable: bool = True
    ) -> tuple[int, str]:
        """Start the driver of the executor for one stage, in a process group of its own, and send its output.

        Raises:
            JobEnded: the time is over, or the job was cancelled. The driver has ended.
        """
        env = {
            "PATH": os.environ["PATH"],
            **{f"CUSTOM_ENV_{name}": value for name, value in {**self.given, **self.variables}.items()},
            **self.job_env,
            "BUILD_FAILURE_EXIT_CODE": str(BUILD_FAILURE),
            "SYSTEM_FAILURE_EXIT_CODE": str(SYSTEM_FAILURE),
            "JOB_RESPONSE_FILE": str(self.response),
            "TMPDIR": str(self.temporary),
        }
        process = subprocess.Popen(
            [*self.runner["driver"], *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if show else subprocess.PIPE,
            start_new_session=True,
        )
        hidden = bytearray()
        reader = threading.Thread(target=self._read, args=(process, hidden if not show else None), daemon=True)
        reader.start()
        try:
            for _ in self._while_running(process):
                status = self.log.send()
                if not abortable:
                    continue
                if status in ("canceled", "failed") or (status == "canceling" and not self.cancelled):
                    self.cancelled = True
                    raise JobEnded(None, "canceled")
                if time.monotonic() > deadline:
                    raise JobEnded("job_execution_timeout", "the timeout was exceeded")
        except JobEnded:
            _end(process)
            raise
        finally:
            reader.join(10)
        return process.returncode, hidden.decode(errors="replace")

    def _while_running(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        while process.poll() is None:
            yield
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL)

    def _read(self, process: subprocess.Popen[bytes], hidden: bytearray | None) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            while part := os.read(stream.fileno(), 65536):
                if hidden is None:
                    self.log.write(part)
                else:
                    hidden += part
        if process.stderr is not None:
            with process.stderr as errors:
                self.log.write(errors.read())

    def _report(self, state: str, reason: str | None) -> None:
        """Send the rest of the log, then the status of the job."""
        while self.log.sent < len(self.log.data) and self.log.send() in ("running", "canceling"):
            pass
        import requests

        body = {"token": self.job["token"], "state": state, "failure_reason": reason or ""}
        requests.put(self.url, json=body, timeout=120)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the driver and its children as GitLab Runner does: SIGTERM to the group, SIGKILL if that does not help."""
    for number, patience in ((signal.SIGTERM, GRACEFUL_KILL), (signal.SIGKILL, GRACEFUL_KILL)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


def _reason(code: int) -> str | None:
    return {0: None, BUILD_FAILURE: "script_failure"}.get(code, "runner_system_failure")


def _seconds(text: str | None) -> float | None:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text or "")) or None


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: variables.get(match[1] or match[2], ""), text)


# -- the commands -----------------------------------------------------------------------------------------------------


def run(configuration: Path) -> None:
    """Ask for jobs and run them, one after the other, until SIGTERM."""
    import requests

    runner = json.loads(configuration.read_text())
    while True:
        answer = requests.post(
            f"{runner['url']}/api/v4/jobs/request",
            json={"token": runner["token"], "info": {"name": "gitlab-runner", "executor": "custom"}},
            timeout=120,
        )
        if answer.status_code == 201:
            with TemporaryDirectory(prefix="runner-") as temporary:
                Build(runner, answer.json(), Path(temporary)).run()
        else:
            time.sleep(POLL)


def upload(options: argparse.Namespace) -> None:
    """Pack the files that the patterns match, and upload them; nothing is uploaded if there are none."""
    found = {path for pattern in options.path for path in Path().glob(pattern.rstrip("/"))}
    below = {path for one in found if one.is_dir() for path in one.rglob("*")}
    files = sorted(path for path in found | below if path.is_file())
    if not files:
        print("WARNING: no matching files. Artifact upload requires at least one file.", flush=True)
        return
    packed = io.BytesIO()
    if options.format == "gzip":
        for path in files:
            packed.write(gzip.compress(path.read_bytes()))
    else:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path)
    boundary = "artifacts-of-a-job"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{options.type}"\r\n\r\n'
    query = {"artifact_type": options.type, "artifact_format": options.format, "expire_in": options.expire_in}
    request = urllib.request.Request(
        f"{options.url}/jobs/{options.id}/artifacts?{urllib.parse.urlencode(query)}",
        data=head.encode() + packed.getvalue() + f"\r\n--{boundary}--\r\n".encode(),
        headers={"JOB-TOKEN": os.environ["JOB_TOKEN"], "Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with _DIRECT.open(request, timeout=60) as answer:
        print(f"Uploading {len(files)} files as {options.type}: {answer.status}", flush=True)


def download(options: argparse.Namespace) -> None:
    """Unpack the artifacts of another job in the current folder."""
    headers = {"JOB-TOKEN": os.environ["JOB_TOKEN"]}
    request = urllib.request.Request(f"{options.url}/jobs/{options.id}/artifacts", headers=headers)
    with _DIRECT.open(request, timeout=60) as answer, zipfile.ZipFile(io.BytesIO(answer.read())) as archive:
        archive.extractall()
        print(f"Downloading artifacts of job {options.id}: {len(archive.namelist())} files", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run").add_argument("configuration", type=Path)
    for name in ("artifacts-uploader", "artifacts-downloader"):
        added = commands.add_parser(name)
        for option in ("url", "id"):
            added.add_argument(f"--{option}", required=True)
        for option in ("type", "format", "expire-in"):
            added.add_argument(f"--{option}", default="")
        added.add_argument("--path", action="append", default=[])
    options = parser.parse_args()
    if options.command == "run":
        run(options.configuration)
    else:
        {"artifacts-uploader": upload, "artifacts-downloader": download}[options.command](options)


if __name__ == "__main__":
    main()
