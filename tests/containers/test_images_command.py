"""The command ``exaworks images``: lists, definitions, builds and error messages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from containers import build as building
from containers.bases import DEBIAN
from containers.build import Options, build
from containers.engines import BuildRequest, build_argv, detect, push_argv, storage
from containers.errors import BuildError, EngineError, ImagesError
from exaworks_sdk.release import load

ROOT = Path(__file__).resolve().parents[2]
RELEASE = load()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a small checkout with one file that git knows and one that it ignores."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "known").write_text("x")
    (folder / "secret").write_text("x")
    (folder / ".gitignore").write_text("secret\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "known", ".gitignore"], check=True)
    subprocess.run(["git", "-C", str(folder), *identity, "commit", "-qm", "state"], check=True)
    return folder


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a program named buildah that records its arguments and runs commands that a test writes into it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return program(folder / "buildah", "exit 0")


def program(path: Path, text: str) -> Path:
    record = f'printf "%s\\n" "$@" > {path}.arguments; for last; do :; done; ls -a "$last" > {path}.context 2>/dev/null'
    path.write_text(f"#!/bin/sh\n{record}\n{text}\n")
    path.chmod(0o755)
    return path


def exaworks(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", "-m", "exaworks_sdk", "images", *arguments]
    environ = {**os.environ, "EXAWORKS_HOME": str(tmp_path / "home"), **more}
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_the_list_has_every_image_with_its_definitions(tmp_path: Path) -> None:
    rows = {row["name"]: row for row in json.loads(exaworks(tmp_path, "list", "--json").stdout)}
    assert list(rows) == ["sdk", "sdk-slim", "testbed-slurm", "testbed-flux", "tutorials", "collector"]
    assert rows["sdk-slim"]["formats"] == ["containerfile", "apptainer"]
    assert rows["collector"]["tag"] == f"localhost/exaworks/collector:{RELEASE.name}"


def test_render_prints_the_committed_file_and_the_check_passes(tmp_path: Path) -> None:
    printed = exaworks(tmp_path, "render", "sdk-slim", "--family", "rocky-9").stdout
    assert printed == (ROOT / "containers/images/sdk-slim/Containerfile.rocky-9").read_text()
    assert exaworks(tmp_path, "render", "--all", "--check").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["render"], "name of an image, or --all"),
        (["render", "sdk-slim", "--family", "slackware"], "no family of base images named slackware"),
        (["render", "sdk-slim", "--format", "compose"], "has no compose file"),
        (["build", "nothing"], "there is no image nothing"),
        (["build", "sdk-slim", "--build-arg", "X"], "'X' is not NAME=VALUE"),
        (["build", "sdk-slim", "--spack-mirror", "/"], "the image sdk-slim is not built with Spack"),
    ],
)
def test_a_usage_error_has_exit_code_2_and_a_reason(
    tmp_path: Path, engine: Path, arguments: list[str], message: str
) -> None:
    done = exaworks(tmp_path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_without_an_engine_the_error_names_a_package_to_install(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="apt install buildah") as error:
        detect(path=str(tmp_path))
    assert error.value.exit_code == 2
    with pytest.raises(EngineError, match="no docker on PATH"):
        detect("docker", path=str(tmp_path))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("writing blob: storing blob: write /var/x: no space left on device", "The disk is full.*buildah rmi --prune"),
        ("not enough free space in /var/cache/apt/archives/.", "The disk is full"),
        (
            'pinging container registry registry.example.org: Get "https://…": dial tcp: lookup: no such host',
            "registry",
        ),
        ("exec container process `/bin/sh`: Exec format error", "another architecture than this machine"),
        ("reading manifest 12 in registry.example.org/base: manifest unknown", "The base image is not there"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock", "daemon does not answer"),
        ("requested access to the resource is denied: unauthorized", "login"),
        ("could not fetch a CERTIFICATE_VERIFY_FAILED", "--ca-bundle"),
    ],
)
def test_the_error_of_an_engine_has_advice(engine: Path, checkout: Path, output: str, message: str) -> None:
    program(engine, f"echo STEP 1; echo 'Error: {output}' >&2; exit 125")
    with pytest.raises(BuildError, match=message) as error:
        build("sdk-slim", RELEASE, DEBIAN, checkout, Options(engine="buildah"), lambda line: None)
    assert f"Error: {output}" in error.value.format_message()


def test_the_error_names_the_cause_and_not_the_failed_step(engine: Path, checkout: Path) -> None:
    step = "echo 'Error: building at STEP \"RUN spack\": exit status 1'"
    program(engine, f"echo '==> Error: no such variant'; {step}; exit 1")
    with pytest.raises(BuildError) as error:
        build("sdk-slim", RELEASE, DEBIAN, checkout, Options(engine="buildah"), lambda line: None)
    assert error.value.format_message() == "cannot build sdk-slim: ==> Error: no such variant"


def test_too_little_space_is_reported_before_the_build(
    engine: Path, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space is checked in the folder of the engine's layers, not in that of temporary files."""
    program(engine, f"echo {tmp_path}; exit 0")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(building.shutil, "disk_usage", lambda path: usage(1, 1, 1 << (20 if path == tmp_path else 40)))
    with pytest.raises(BuildError, match=f"{tmp_path} has 1 MB free.*the engine's storage"):
        build("sdk-slim", RELEASE, DEBIAN, checkout, Options(engine="buildah"), lambda line: None)
    assert Path(f"{engine}.arguments").read_text().split()[0] == "info"


def test_if_an_engine_does_not_report_its_storage_the_temporary_folder_counts(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APPTAINER_TMPDIR", raising=False)
    program(engine, f"echo {tmp_path}; exit 1")
    assert storage(str(engine)) == storage("/nonexistent/podman") == Path(tempfile.gettempdir())
    monkeypatch.setenv("APPTAINER_TMPDIR", str(tmp_path))
    assert storage("apptainer") == tmp_path


def test_the_build_context_has_only_files_that_git_does_not_ignore(engine: Path, checkout: Path) -> None:
    built = build("collector", RELEASE, DEBIAN, checkout, Options(engine="buildah", base="x:1"), lambda line: None)
    assert built == f"localhost/exaworks/collector:{RELEASE.name}"
    context = Path(f"{engine}.context").read_text().split()
    assert "known" in context
    assert "Containerfile" in context
    assert "secret" not in context
    assert ".git" not in context
    arguments = Path(f"{engine}.arguments").read_text().splitlines()
    commit = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert {"--build-arg=BASE=x:1", f"--build-arg=REVISION={commit}"} <= set(arguments)


def test_a_changed_checkout_has_a_dirty_revision(engine: Path, checkout: Path) -> None:
    (checkout / "known").write_text("y")
    build("collector", RELEASE, DEBIAN, checkout, Options(engine="buildah"), lambda line: None)
    arguments = Path(f"{engine}.arguments").read_text()
    assert "-dirty\n" in arguments


def test_a_folder_without_git_is_refused(engine: Path, tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="is not a git checkout"):
        build("collector", RELEASE, DEBIAN, tmp_path / "bin", Options(engine="buildah"), lambda line: None)


def test_each_engine_gets_its_own_options(tmp_path: Path) -> None:
    request = BuildRequest(
        context=tmp_path,
        definition=tmp_path / "f",
        tag="t:1",
        base="b",
        arguments={"REVISION": "r"},
        secrets={"ca": tmp_path / "ca"},
        epoch=7,
        flags=("--isolation", "chroot"),
    )
    buildah = build_argv("/usr/bin/buildah", request)
    assert buildah[:3] == ["/usr/bin/buildah", "bud", "--layers"]
    assert {"--format=docker", "--timestamp=7", f"--secret=id=ca,src={tmp_path}/ca", "chroot"} <= set(buildah)
    docker = build_argv("docker", request)
    assert docker[1] == "build"
    assert not [word for word in docker if word.startswith(("--timestamp", "--format"))]
    assert "--build-arg=SOURCE_DATE_EPOCH=7" in docker
    with pytest.raises(EngineError, match="apptainer cannot pass secret files"):
        build_argv("apptainer", request)
    mounting = replace(request, secrets={}, folders={"/mirror": tmp_path})
    assert f"--volume={tmp_path}:/mirror" in build_argv("podman", mounting)
    assert f"--bind={tmp_path}:/mirror" in build_argv("apptainer", mounting)
    with pytest.raises(EngineError, match="docker cannot mount folders"):
        build_argv("docker", mounting)


FACTS = """for word; do case $word in
    --output=*) folder=${word##*dest=}; printf 'abc123' > "$folder/dag-hash"; printf '%s' "$*" > "$0.first" ;;
esac; done"""


def test_the_dag_hash_of_the_spack_build_is_a_label_of_the_image(engine: Path, checkout: Path, tmp_path: Path) -> None:
    """The stage with Spack is built first, for its DAG hash; the whole build then uses that stage unchanged."""
    program(engine, FACTS)
    options = Options(engine="buildah", spack_mirror=tmp_path)
    build("sdk", RELEASE, DEBIAN, checkout, options, lambda line: None)
    first = Path(f"{engine}.first").read_text()
    assert "--target=facts" in first
    assert "--tag=" not in first
    last = Path(f"{engine}.arguments").read_text().splitlines()
    assert "--build-arg=DAG_HASH=abc123" in last
    assert {"--build-arg=SPACK_MIRROR=/mirror", f"--volume={tmp_path}:/mirror"} <= set(last)
    assert not [word for word in last if word.startswith(("--target", "--output"))]


def test_a_build_without_a_dag_hash_is_an_error(engine: Path, checkout: Path) -> None:
    with pytest.raises(BuildError, match=r"wrote \[\] instead of one DAG hash"):
        build("sdk", RELEASE, DEBIAN, checkout, Options(engine="buildah"), lambda line: None)


def test_a_push_goes_to_the_given_address(engine: Path, checkout: Path) -> None:
    target = "oci://registry.example.org/exaworks/collector:1"
    build("collector", RELEASE, DEBIAN, checkout, Options(engine="buildah", tag="c:1", push=target), lambda line: None)
    arguments = Path(f"{engine}.arguments").read_text().splitlines()
    assert arguments == ["push", "c:1", "docker://registry.example.org/exaworks/collector:1"]
    assert push_argv("apptainer", "/a.sif", target)[-1] == "oras://registry.example.org/exaworks/collector:1"


CALLS = 'echo "$*" >> "$0.calls"; for word; do case $word in *.def) cp "$word" "$0.def" ;; esac; done'


def test_docker_tags_an_image_with_its_address_before_the_push(engine: Path, checkout: Path) -> None:
    docker = program(engine.with_name("docker"), CALLS)
    wanted = Options(engine="docker", base="x:1", push="oci://registry.example.org/collector:1")
    built = build("collector", RELEASE, DEBIAN, checkout, wanted, lambda line: None)
    calls = [call.split() for call in Path(f"{docker}.calls").read_text().splitlines()]
    assert [call[0] for call in calls] == ["info", "build", "tag", "push"]
    assert {f"--tag={built}", "--build-arg=BASE=x:1"} <= set(calls[1])
    assert calls[2:] == [
        ["tag", built, "registry.example.org/collector:1"],
        ["push", "registry.example.org/collector:1"],
    ]


def test_apptainer_makes_a_file_from_a_definition_without_secrets(
    engine: Path, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apptainer = program(engine.with_name("apptainer"), CALLS)
    monkeypatch.chdir(tmp_path)
    wanted = Options(engine="apptainer", base="x:1", push="oci://registry.example.org/sdk-slim:1")
    built = build("sdk-slim", RELEASE, DEBIAN, checkout, wanted, lambda line: None)
    assert built == f"sdk-slim-{RELEASE.name}.sif"
    build_call, push_call = (call.split() for call in Path(f"{apptainer}.calls").read_text().splitlines())
    assert build_call[0] == "build"
    assert build_call[-2] == str(tmp_path / built)
    assert push_call == ["push", built, "oras://registry.example.org/sdk-slim:1"]
    text = Path(f"{apptainer}.def").read_text()
    options = [word for word in build_call if word.startswith("--build-arg=")]
    given = {option.removeprefix("--build-arg=").partition("=")[0] for option in options}
    used = set(re.findall(r"\{\{ (\w+) \}\}", text))
    assert {"BASE", "SOURCE_DATE_EPOCH"} <= given <= used, "apptainer refuses arguments that are not used"
