"""A store of images that are built for the tests, with a base image from debootstrap, and their containers.

``EXAWORKS_TEST_CONTAINERS`` names a folder that keeps the base image and the layers between test runs. Two images build
a component from its repository, which takes long. They are built only if ``EXAWORKS_TEST_IMAGE_SDK`` or
``EXAWORKS_TEST_IMAGE_TESTBED_FLUX`` is set, to further options of ``exaworks images build`` or to an empty value.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.containers.engine import Engine, skip_or_fail
from tests.needs import need

ROOT = Path(__file__).resolve().parents[2]
BASE = "localhost/exaworks/debian:12"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
BUILD_LIMIT = 1500.0
ON_DEMAND = ("sdk", "testbed-flux", "tutorials")


@dataclass
class ImageStore:
    """An engine with a base image and the built images; ``close`` removes the containers."""

    engine: Engine
    built: dict[str, str] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def base(self) -> None:
        """Create the base image with debootstrap, unless the store has it."""
        if self.engine.run("podman", "image", "exists", BASE).returncode == 0:
            return
        if os.getuid() != 0:
            skip_or_fail("debootstrap needs root")
        tree = self.engine.folder / "base"
        done = self.engine.run(need("debootstrap"), "--variant=minbase", "bookworm", str(tree), limit=900)
        if done.returncode != 0:
            skip_or_fail(f"debootstrap: {done.stdout.strip().splitlines()[-1]}")
        archive = self.engine.folder / "base.tar"
        excluded = ["--exclude=./var/cache/apt/*", "--exclude=./dev/*"]
        done = self.engine.run("tar", "--directory", str(tree), *excluded, "-cf", str(archive), ".")
        assert done.returncode == 0, done.stderr
        done = self.engine.run("podman", "import", "--quiet", str(archive), BASE)
        assert done.returncode == 0, done.stderr
        self.engine.run("rm", "-rf", "--one-file-system", str(tree), str(archive))

    def build(self, name: str, *options: str, again: bool = False, checkout: Path = ROOT) -> str:
        """Build an image with the command that users run; once, unless ``again`` is set."""
        if again or name not in self.built:
            argv = [sys.executable, "-m", "exaworks_sdk", "images", "build", name, "--engine=buildah"]
            argv += [f"--base={BASE}", *([f"--ca-bundle={CA_BUNDLE}"] if Path(CA_BUNDLE).exists() else []), *options]
            flags = f"--isolation chroot {os.environ.get('EXAWORKS_TEST_BUILD_FLAGS', '')}"
            more = {"EXAWORKS_HOME": str(self.engine.folder / "home"), "EXAWORKS_BUILD_FLAGS": flags}
            revision = commit()
            done = subprocess.run(
                argv,
                cwd=checkout,
                env={**self.engine.environ, **more},
                capture_output=True,
                text=True,
                check=False,
                timeout=BUILD_LIMIT,
            )
            assert done.returncode == 0, done.stderr[-4000:]
            if again:
                return done.stdout.strip()
            self.commits[name], self.built[name] = revision, done.stdout.strip()
        return self.built[name]

    def wanted(self, name: str) -> str:
        """Build an image once; skip the test if the image takes long and its variable is not set."""
        if name not in ON_DEMAND:
            return self.build(name)
        variable = f"EXAWORKS_TEST_IMAGE_{name.upper().replace('-', '_')}"
        options = os.environ.get(variable)
        if options is None:
            pytest.skip(
                f"{name} is built only if {variable} is set, to further options of the build or to an empty value"
            )
        return self.built.get(name) or self.build(name, *shlex.split(options))

    def argv(self, image: str, *command: str, options: tuple[str, ...] = ()) -> list[str]:
        engine = ["podman", "run", "--rm", "--log-driver=none", "--no-healthcheck", "--network=host"]
        return [*engine, *options, image, *command]

    def run(
        self, image: str, *command: str, options: tuple[str, ...] = (), limit: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return self.engine.run(*self.argv(image, *command, options=options), limit=limit)

    def start(self, image: str, *command: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        argv = self.argv(image, *command, options=options)
        self.started.append(subprocess.Popen(argv, env=self.engine.environ, stdin=subprocess.DEVNULL, text=True))
        return self.started[-1]

    def close(self) -> None:
        self.engine.run("podman", "rm", "--all", "--force", "--time", "0")
        for process in self.started:
            process.wait(timeout=30)
        self.engine.run("podman", "volume", "prune", "--force")


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def facts(store: ImageStore, image: str) -> dict[str, object]:
    """Return the properties of an image that the engine reports."""
    properties: dict[str, object] = json.loads(store.engine.run("podman", "image", "inspect", image).stdout)[0]
    return properties


def passed(done: subprocess.CompletedProcess[str], cases: set[str]) -> None:
    """Assert that a validation passed, and that these cases passed in it."""
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert {case["case_id"] for case in summary["cases"] if case["outcome"] == "pass"} >= cases, summary


def answers(url: str) -> bool:
    """Return whether a server answers without an error; if not, wait for 0.05 s."""
    try:
        ok = requests.get(url, timeout=2).ok
    except requests.RequestException:
        ok = False
    if not ok:
        time.sleep(0.05)
    return ok
