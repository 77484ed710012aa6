"""An image can be pushed to a registry and pulled again; errors of a registry come with advice.

The tests use podman and an image with the Python of this machine, so that nothing is downloaded.
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
        address = f"127.0.0.1:{registry.port}/exaworks/python:1"
        pushed = podman_with(registry, podman, *push_argv("podman", PYTHON, f"oci://{address}"))
        assert pushed.returncode == 0, pushed.stderr
        assert ("exaworks/python", "1") in registry.manifests
        assert podman.run("podman", "rmi", PYTHON).returncode == 0
        pulled = podman_with(registry, podman, "podman", "pull", address)
    assert pulled.returncode == 0, pulled.stderr
    assert podman.run("podman", "tag", address, PYTHON).returncode == 0
    assert podman.run("podman", "image", "inspect", "--format={{.Id}}", PYTHON).stdout == identity
    command = ("python3", "-c", "print('runs')")
    assert podman.run("podman", "run", "--rm", "--log-driver=none", PYTHON, *command).stdout == "runs\n"


def test_the_error_of_a_registry_that_requires_a_login_names_the_command(podman: Engine, tmp_path: Path) -> None:
    with serving(tmp_path, closed=True) as registry:
        target = f"oci://127.0.0.1:{registry.port}/exaworks/python:1"
        done = podman_with(registry, podman, *push_argv("podman", PYTHON, target))
    assert done.returncode != 0
    assert "run `podman login REGISTRY` first" in explain("podman", done.stderr)


def test_a_missing_image_is_distinguished_from_a_registry_that_does_not_answer(podman: Engine, tmp_path: Path) -> None:
    with serving(tmp_path) as registry:
        absent = podman_with(registry, podman, "podman", "pull", f"127.0.0.1:{registry.port}/exaworks/base:1")
    assert "The base image is not there" in explain("podman", absent.stderr)
    silent = podman_with(registry, podman, *push_argv("podman", PYTHON, f"oci://127.0.0.1:{registry.port}/x:1"))
    assert "The registry does not answer" in explain("podman", silent.stderr)
