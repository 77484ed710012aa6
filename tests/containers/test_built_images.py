"""The images are built on a base image from debootstrap, and each of them works in a container.

This takes minutes. ``tests/containers/image_store.py`` describes the variables that keep layers and that enable the two
slowest images.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from containers.catalogue import IMAGES
from dashboard_client.upload import push
from exaworks_sdk.release import load
from tests.containers.image_store import BASE, ROOT, ImageStore, answers, facts, passed
from tests.dashboard_client.samples import RUN_ID, finished_run
from tests.needs import need

pytestmark = [pytest.mark.long, pytest.mark.needs("podman", "buildah", "debootstrap")]

RELEASE = load()
MEGABYTE = 10**6


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_no_compiler_an_ordinary_user_labels_and_a_bill_of_materials(
    image_store: ImageStore, name: str
) -> None:
    image = image_store.wanted(name)
    properties = facts(image_store, image)
    assert properties["User"] == "1000:1000"
    assert "Test" in str(properties["HealthCheck"] if "HealthCheck" in properties else properties["Healthcheck"])
    labels = properties["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == RELEASE.name
    assert labels["org.opencontainers.image.base.name"] == BASE
    assert labels["org.opencontainers.image.revision"].startswith(image_store.commits[name])
    no_entrypoint = ("--entrypoint=",)
    tools = (
        "for t in cc gcc g++ make pip pip3 git spack; do command -v $t; done; "
        "ls /src /build /opt/sbom /root/.cache 2>/dev/null; true"
    )
    assert image_store.run(image, "sh", "-c", tools, options=no_entrypoint).stdout == ""
    missing = "find /opt/flux /opt/spack -name '*.so*' -type f 2>/dev/null | xargs -r ldd | grep 'not found'; true"
    libraries = image_store.run(image, "sh", "-c", missing, options=no_entrypoint).stdout
    assert libraries == "", "the runtime stage lacks a library"
    bill = json.loads(image_store.run(image, "cat", labels["org.exaworks.sbom"], options=no_entrypoint).stdout)
    assert bill["bomFormat"] == "CycloneDX"
    versions = {component["name"]: component["version"] for component in bill["components"]}
    assert versions["exaworks-sdk"].startswith(RELEASE.name)
    assert versions["libc6"].startswith("2.36")
    if name not in ("collector", "sdk"):
        assert {c.pypi: c.version for c in RELEASE.components if c.pypi}.items() <= versions.items()


def test_sdk_slim_is_small_and_validates_itself(image_store: ImageStore) -> None:
    image = image_store.build("sdk-slim")
    size = facts(image_store, image)["Size"]
    assert isinstance(size, int)
    assert size < 600 * MEGABYTE
    command = ("validate", "--tier", "smoke", "--component", "psij", "--no-upload", "--json")
    passed(image_store.run(image, *command), {"psij/hello@local", "control/hello@local"})


def test_sdk_slim_is_a_deployment_for_a_harness_outside_of_it(image_store: ImageStore, tmp_path: Path) -> None:
    image = image_store.build("sdk-slim")
    site = tmp_path / "box.yaml"
    site.write_text(
        "system: test/box\ndescription: A machine for tests\nlocal: {allowed: true, cores: 2}\npromises: [psij]\n"
    )
    argv = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", str(site), "--no-upload", "--json"]
    argv += ["--deployment", f"image:{image}", "--tier", "smoke", "--component", "psij", "--scheduler", "local"]
    environ = {**image_store.engine.environ, "EXAWORKS_HOME": str(tmp_path / "home")}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=180)
    passed(done, {"psij/hello@local"})
    (manifest,) = (tmp_path / "home" / "runs").glob("*/manifest.json")
    (deployment,) = json.loads(manifest.read_text())["deployments"]
    assert deployment["kind"] == "image"
    assert deployment["digest"] == str(facts(image_store, image)["Digest"]).removeprefix("sha256:")


def test_a_slurm_cluster_of_two_nodes_runs_jobs_from_its_login_node(image_store: ImageStore) -> None:
    image = image_store.build("testbed-slurm")
    volume = f"cluster-{os.getpid()}"
    hosts = tuple(f"--add-host=node{number}:127.0.0.1" for number in (1, 2))
    options = (*hosts, f"--volume={volume}:/cluster")
    image_store.start(image, "controller", options=options)
    for number in (1, 2):
        image_store.start(image, "node", f"node{number}", options=options)
    wait = "until [ $(sinfo -h -N -t idle -o %N | wc -l) = 2 ]; do sleep 0.1; done"
    script = f"{wait}; srun -N2 sh -c 'echo $SLURMD_NODENAME'"
    both = image_store.run(image, "login", "sh", "-c", script, options=options)
    assert sorted(both.stdout.split()) == ["node1", "node2"], both.stderr
    command = ("exaworks", "validate", "--tier", "smoke", "--component", "psij", "--no-upload", "--json")
    passed(image_store.run(image, "login", *command, options=options), {"psij/hello@slurm", "control/hello@slurm"})


@pytest.mark.needs("podman-compose")
def test_the_compose_file_starts_a_cluster(image_store: ImageStore) -> None:
    if image_store.engine.helpers() is None:
        pytest.skip("podman's containers cannot connect by name: install netavark and aardvark-dns")
    image_store.build("testbed-slurm")
    compose = [need("podman-compose"), "--file", str(ROOT / "containers/images/testbed-slurm/compose.yaml")]
    inside = [*compose, "exec", "-T", "login"]
    try:
        done = image_store.engine.run(*compose, "up", "--detach")
        assert done.returncode == 0, done.stderr
        wait = "until [ $(sinfo -h -N -t idle -o %N | wc -l) = 2 ]; do sleep 0.1; done"
        both = image_store.engine.run(*inside, "sh", "-c", f"{wait}; srun -N2 uname -n")
        assert sorted(both.stdout.split()) == ["node1", "node2"], both.stderr
        command = ("exaworks", "validate", "--tier", "smoke", "--component", "psij", "--no-upload", "--json")
        passed(image_store.engine.run(*inside, *command), {"psij/hello@slurm", "control/hello@slurm"})
    finally:
        image_store.engine.run(*compose, "down", "--volumes")


def test_testbed_flux_runs_jobs_in_an_instance_of_two_brokers(image_store: ImageStore) -> None:
    image = image_store.wanted("testbed-flux")
    ranks = image_store.run(image, "flux", "resource", "list", "--no-header", "--format={nnodes}", "--states=free")
    assert ranks.stdout.split() == ["2"], ranks.stderr
    command = ("exaworks", "validate", "--tier", "smoke", "--component", "psij", "--no-upload", "--json")
    passed(image_store.run(image, *command), {"psij/hello@flux", "control/hello@flux"})


def test_sdk_has_the_packages_that_spack_built_and_validates_itself(image_store: ImageStore) -> None:
    image = image_store.wanted("sdk")
    labels = facts(image_store, image)["Labels"]
    assert isinstance(labels, dict)
    no_entrypoint = ("--entrypoint=",)
    dag_hash = image_store.run(image, "cat", "/opt/environment/dag-hash", options=no_entrypoint).stdout.strip()
    assert re.fullmatch("[a-z0-9]{32}", dag_hash)
    assert labels["org.exaworks.dag-hash"] == dag_hash
    bill = json.loads(image_store.run(image, "cat", labels["org.exaworks.sbom"], options=no_entrypoint).stdout)
    packages = {component["purl"].partition("%2B")[0] for component in bill["components"]}
    assert f"pkg:generic/spack/flux-core@{_version('flux')}" in packages
    command = ["--component", "psij", "--component", "parsl", "--component", "swift-t", "--component", "flux"]
    done = image_store.run(image, "validate", "--tier", "smoke", *command, "--no-upload", "--json", limit=600)
    cases = ("control/hello", "flux/instance", "parsl/htex:blocks=1", "parsl/python_app", "psij/hello", "swift-t/hello")
    passed(done, {f"{case}@local" for case in cases})


def _version(component: str) -> str:
    return next(c.version for c in RELEASE.components if c.name == component)


@pytest.mark.parametrize("name", ["collector", "sdk-slim"])
def test_two_builds_of_one_commit_give_the_same_image(image_store: ImageStore, tmp_path: Path, name: str) -> None:
    """The builds do not use the engine's cache; both take the distribution's packages from the same archive.

    The ids differ nevertheless: buildah writes the name of its working container into Docker's format, the only format
    with a health check.
    """
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    properties = []
    for number in (1, 2):
        tag = f"localhost/exaworks/again-{name}:{number}"
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("EXAWORKS_TEST_BUILD_FLAGS", "--layers=false --no-cache")
            image_store.build(name, f"--tag={tag}", again=True, checkout=checkout)
        properties.append(facts(image_store, tag))
    for different in ("Id", "Digest", "RepoTags", "RepoDigests", "NamesHistory"):
        assert properties[0].pop(different) != properties[1].pop(different)
    assert properties[0]["RootFS"]
    assert properties[0] == properties[1]


def test_the_error_for_a_registry_that_does_not_answer_has_advice(image_store: ImageStore) -> None:
    with pytest.raises(AssertionError, match="The registry does not answer"):
        image_store.build("collector", "--base=127.0.0.1:9/no/base:1", again=True)


def test_the_error_for_a_base_of_another_architecture_has_advice(image_store: ImageStore) -> None:
    foreign = "localhost/exaworks/foreign:1"
    tree = image_store.engine.folder / "foreign"
    program = tree / "bin" / "sh"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_bytes(b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(44))  # of an s390x
    program.chmod(0o755)
    archive = image_store.engine.folder / "foreign.tar"
    assert image_store.engine.run("tar", "--directory", str(tree), "-cf", str(archive), ".").returncode == 0
    imported = image_store.engine.run("podman", "import", "--quiet", "--arch", "s390x", str(archive), foreign)
    assert imported.returncode == 0, imported.stderr
    with pytest.raises(AssertionError, match="another architecture than this machine"):
        image_store.build("collector", f"--base={foreign}", again=True)


def test_the_collector_receives_a_record_and_shows_it(image_store: ImageStore, tmp_path: Path) -> None:
    image = image_store.build("collector")
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    name = f"collector-{port}"
    started = time.monotonic()
    image_store.start(image, "serve", "--port", str(port), options=(f"--name={name}",))
    url = f"http://127.0.0.1:{port}"
    while not answers(f"{url}/healthz"):
        assert time.monotonic() - started < 60, "the collector did not start"
        assert image_store.started[-1].poll() is None, "the collector ended"
    token = image_store.engine.run("podman", "exec", name, "exaworks", "collector", "token", "new", "*")
    assert token.returncode == 0, token.stderr
    report = push(finished_run(tmp_path / "runs"), url, token.stdout.strip())
    assert report.sent == report.total > 0, report
    page = requests.get(f"{url}/runs/{RUN_ID}", timeout=10)
    assert page.status_code == 200
    assert re.search(re.escape(RUN_ID), page.text)
