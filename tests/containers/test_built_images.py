"""The images are really built, on a base that debootstrap makes, and each does in a container what it is for.

Takes minutes; ``tests/containers/yard.py`` says what keeps layers, and what has the two images built that take longest.
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
from tests.containers.yard import BASE, ROOT, Yard, answers, facts, passed
from tests.dashboard_client.samples import RUN_ID, finished_run
from tests.needs import need

pytestmark = [pytest.mark.long, pytest.mark.needs("podman", "buildah", "debootstrap")]

RELEASE = load()
MEGABYTE = 10**6


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_no_compiler_an_ordinary_user_labels_and_a_bill_of_materials(yard: Yard, name: str) -> None:
    image = yard.wanted(name)
    seen = facts(yard, image)
    assert seen["User"] == "1000:1000"
    assert "Test" in str(seen["HealthCheck"] if "HealthCheck" in seen else seen["Healthcheck"])
    labels = seen["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == RELEASE.name
    assert labels["org.opencontainers.image.base.name"] == BASE
    assert labels["org.opencontainers.image.revision"].startswith(yard.commits[name])
    look = ("--entrypoint=",)
    tools = (
        "for t in cc gcc g++ make pip pip3 git spack; do command -v $t; done; "
        "ls /src /build /opt/sbom /root/.cache 2>/dev/null; true"
    )
    assert yard.run(image, "sh", "-c", tools, options=look).stdout == ""
    built = "find /opt/flux /opt/spack -name '*.so*' -type f 2>/dev/null | xargs -r ldd | grep 'not found'; true"
    assert yard.run(image, "sh", "-c", built, options=look).stdout == "", "a library is left out of the runtime stage"
    bill = json.loads(yard.run(image, "cat", labels["org.exaworks.sbom"], options=look).stdout)
    assert bill["bomFormat"] == "CycloneDX"
    versions = {component["name"]: component["version"] for component in bill["components"]}
    assert versions["exaworks-sdk"].startswith(RELEASE.name)
    assert versions["libc6"].startswith("2.36")
    if name not in ("collector", "sdk"):
        assert {c.pypi: c.version for c in RELEASE.components if c.pypi}.items() <= versions.items()


def test_sdk_slim_is_small_and_validates_itself(yard: Yard) -> None:
    image = yard.build("sdk-slim")
    size = facts(yard, image)["Size"]
    assert isinstance(size, int)
    assert size < 600 * MEGABYTE
    asked = ("validate", "--tier", "smoke", "--component", "psij", "--no-upload", "--json")
    passed(yard.run(image, *asked), {"psij/hello@local", "control/hello@local"})


def test_sdk_slim_is_a_deployment_of_the_harness_outside(yard: Yard, tmp_path: Path) -> None:
    image = yard.build("sdk-slim")
    site = tmp_path / "box.yaml"
    site.write_text(
        "system: test/box\ndescription: A machine for tests\nlocal: {allowed: true, cores: 2}\npromises: [psij]\n"
    )
    argv = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", str(site), "--no-upload", "--json"]
    argv += ["--deployment", f"image:{image}", "--tier", "smoke", "--component", "psij", "--scheduler", "local"]
    environ = {**yard.engine.environ, "EXAWORKS_HOME": str(tmp_path / "home")}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=180)
    passed(done, {"psij/hello@local"})
    (manifest,) = (tmp_path / "home" / "runs").glob("*/manifest.json")
    (deployment,) = json.loads(manifest.read_text())["deployments"]
    assert deployment["kind"] == "image"
    assert deployment["digest"] == str(facts(yard, image)["Digest"]).removeprefix("sha256:")


def test_a_slurm_cluster_of_two_nodes_runs_jobs_from_its_login_node(yard: Yard) -> None:
    image = yard.build("testbed-slurm")
    volume = f"cluster-{os.getpid()}"
    hosts = tuple(f"--add-host=node{number}:127.0.0.1" for number in (1, 2))
    options = (*hosts, f"--volume={volume}:/cluster")
    yard.start(image, "controller", options=options)
    for number in (1, 2):
        yard.start(image, "node", f"node{number}", options=options)
    waits = "until [ $(sinfo -h -N -t idle -o %N | wc -l) = 2 ]; do sleep 0.1; done"
    both = yard.run(image, "login", "sh", "-c", f"{waits}; srun -N2 sh -c 'echo $SLURMD_NODENAME'", options=options)
    assert sorted(both.stdout.split()) == ["node1", "node2"], both.stderr
    asked = ("exaworks", "validate", "--tier", "smoke", "--component", "psij", "--no-upload", "--json")
    passed(yard.run(image, "login", *asked, options=options), {"psij/hello@slurm", "control/hello@slurm"})


@pytest.mark.needs("podman-compose")
def test_the_compose_file_brings_up_a_cluster(yard: Yard) -> None:
    if yard.engine.helpers() is None:
        pytest.skip("podman's containers cannot find each other by name here: install netavark and aardvark-dns")
    yard.build("testbed-slurm")
    compose = [need("podman-compose"), "--file", str(ROOT / "containers/images/testbed-slurm/compose.yaml")]
    inside = [*compose, "exec", "-T", "login"]
    try:
        done = yard.engine.run(*compose, "up", "--detach")
        assert done.returncode == 0, done.stderr
        waits = "until [ $(sinfo -h -N -t idle -o %N | wc -l) = 2 ]; do sleep 0.1; done"
        both = yard.engine.run(*inside, "sh", "-c", f"{waits}; srun -N2 uname -n")
        assert sorted(both.stdout.split()) == ["node1", "node2"], both.stderr
        asked = ("exaworks", "validate", "--tier", "smoke", "--component", "psij", "--no-upload", "--json")
        passed(yard.engine.run(*inside, *asked), {"psij/hello@slurm", "control/hello@slurm"})
    finally:
        yard.engine.run(*compose, "down", "--volumes")


def test_testbed_flux_runs_jobs_in_an_instance_of_two_brokers(yard: Yard) -> None:
    image = yard.wanted("testbed-flux")
    ranks = yard.run(image, "flux", "resource", "list", "--no-header", "--format={nnodes}", "--states=free")
    assert ranks.stdout.split() == ["2"], ranks.stderr
    asked = ("exaworks", "validate", "--tier", "smoke", "--component", "psij", "--no-upload", "--json")
    passed(yard.run(image, *asked), {"psij/hello@flux", "control/hello@flux"})


def test_sdk_holds_what_spack_built_and_validates_itself(yard: Yard) -> None:
    image = yard.wanted("sdk")
    labels = facts(yard, image)["Labels"]
    assert isinstance(labels, dict)
    look = ("--entrypoint=",)
    held = yard.run(image, "cat", "/opt/environment/dag-hash", options=look).stdout.strip()
    assert re.fullmatch("[a-z0-9]{32}", held)
    assert labels["org.exaworks.dag-hash"] == held
    bill = json.loads(yard.run(image, "cat", labels["org.exaworks.sbom"], options=look).stdout)
    held_packages = {component["purl"].partition("%2B")[0] for component in bill["components"]}
    assert f"pkg:generic/spack/flux-core@{_version('flux')}" in held_packages
    asked = ["--component", "psij", "--component", "parsl", "--component", "swift-t", "--component", "flux"]
    done = yard.run(image, "validate", "--tier", "smoke", *asked, "--no-upload", "--json", limit=600)
    cases = ("control/hello", "flux/instance", "parsl/htex:blocks=1", "parsl/python_app", "psij/hello", "swift-t/hello")
    passed(done, {f"{case}@local" for case in cases})


def _version(component: str) -> str:
    return next(c.version for c in RELEASE.components if c.name == component)


@pytest.mark.parametrize("name", ["collector", "sdk-slim"])
def test_two_builds_of_one_commit_are_the_same_image(yard: Yard, tmp_path: Path, name: str) -> None:
    """Without the engine's cache; the distribution's packages come from the same archive both times.

    The id is another one all the same: buildah writes the name of its working container into Docker's format, and only
    that holds a health check.
    """
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    seen = []
    for number in (1, 2):
        tag = f"localhost/exaworks/again-{name}:{number}"
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("EXAWORKS_TEST_BUILD_FLAGS", "--layers=false --no-cache")
            yard.build(name, f"--tag={tag}", again=True, checkout=checkout)
        seen.append(facts(yard, tag))
    for name_of_itself in ("Id", "Digest", "RepoTags", "RepoDigests", "NamesHistory"):
        assert seen[0].pop(name_of_itself) != seen[1].pop(name_of_itself)
    assert seen[0]["RootFS"]
    assert seen[0] == seen[1]


def test_a_registry_that_does_not_answer_is_told_with_what_to_do(yard: Yard) -> None:
    with pytest.raises(AssertionError, match="The registry does not answer"):
        yard.build("collector", "--base=127.0.0.1:9/no/base:1", again=True)


def test_a_base_of_another_architecture_is_told_with_what_to_do(yard: Yard) -> None:
    foreign = "localhost/exaworks/foreign:1"
    tree = yard.engine.folder / "foreign"
    program = tree / "bin" / "sh"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_bytes(b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(44))  # of an s390x
    program.chmod(0o755)
    archive = yard.engine.folder / "foreign.tar"
    assert yard.engine.run("tar", "--directory", str(tree), "-cf", str(archive), ".").returncode == 0
    made = yard.engine.run("podman", "import", "--quiet", "--arch", "s390x", str(archive), foreign)
    assert made.returncode == 0, made.stderr
    with pytest.raises(AssertionError, match="another architecture than this machine"):
        yard.build("collector", f"--base={foreign}", again=True)


def test_the_collector_takes_a_record_and_shows_it(yard: Yard, tmp_path: Path) -> None:
    image = yard.build("collector")
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    name = f"collector-{port}"
    begun = time.monotonic()
    yard.start(image, "serve", "--port", str(port), options=(f"--name={name}",))
    url = f"http://127.0.0.1:{port}"
    while not answers(f"{url}/healthz"):
        assert time.monotonic() - begun < 60, "the collector did not come up"
        assert yard.started[-1].poll() is None, "the collector ended"
    made = yard.engine.run("podman", "exec", name, "exaworks", "collector", "token", "new", "*")
    assert made.returncode == 0, made.stderr
    report = push(finished_run(tmp_path / "runs"), url, made.stdout.strip())
    assert report.sent == report.total > 0, report
    page = requests.get(f"{url}/runs/{RUN_ID}", timeout=10)
    assert page.status_code == 200
    assert re.search(re.escape(RUN_ID), page.text)
