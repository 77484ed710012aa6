"""An image goes to a registry and comes back; one that will not have it, or has it not, is told with what to do.

With podman and an image of this machine's own Python, so that nothing is fetched.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from containers.engines import explain, push_argv
from tests.containers.engine import PYTHON, Engine
from tests.containers.registry import Registry, serving


def podman_with(registry: Registry, engine: Engine, *argv: str) -> subprocess.CompletedProcess[str]:
    return engine.run("env", f"CONTAINERS_REGISTRIES_CONF={registry.settings}", *argv)


def test_an_image_that_was_pushed_is_pulled_and_runs(podman: Engine, tmp_path: Path) -> None:
    identity = podman.run("podman", "image", "inspect", "--format={{.Id}}", PYTHON).stdout
    with serving(tmp_path) as registry:
        there = f"127.0.0.1:{registry.port}/exaworks/python:1"
        pushed = podman_with(registry, podman, *push_argv("podman", PYTHON, f"oci://{there}"))
        assert pushed.returncode == 0, pushed.stderr
        assert ("exaworks/python", "1") in registry.manifests
        assert podman.run("podman", "rmi", PYTHON).returncode == 0
        pulled = podman_with(registry, podman, "podman", "pull", there)
    assert pulled.returncode == 0, pulled.stderr
    assert podman.run("podman", "tag", there, PYTHON).returncode == 0
    assert podman.run("podman", "image", "inspect", "--format={{.Id}}", PYTHON).stdout == identity
    asked = ("python3", "-c", "print('runs')")
    assert podman.run("podman", "run", "--rm", "--log-driver=none", PYTHON, *asked).stdout == "runs\n"


def test_a_registry_that_wants_a_login_says_so(podman: Engine, tmp_path: Path) -> None:
    with serving(tmp_path, closed=True) as registry:
        target = f"oci://127.0.0.1:{registry.port}/exaworks/python:1"
        done = podman_with(registry, podman, *push_argv("podman", PYTHON, target))
    assert done.returncode != 0
    assert "`podman login REGISTRY` first" in explain("podman", done.stderr)


def test_an_image_that_a_registry_lacks_is_no_registry_that_is_silent(podman: Engine, tmp_path: Path) -> None:
    with serving(tmp_path) as registry:
        absent = podman_with(registry, podman, "podman", "pull", f"127.0.0.1:{registry.port}/exaworks/base:1")
    assert "The base image is not there" in explain("podman", absent.stderr)
    silent = podman_with(registry, podman, *push_argv("podman", PYTHON, f"oci://127.0.0.1:{registry.port}/x:1"))
    assert "The registry does not answer" in explain("podman", silent.stderr)
