"""A store of really built images, on a base that debootstrap makes, and containers of them.

``EXAWORKS_TEST_CONTAINERS`` names a folder that keeps base and layers from one time to the next. The two images that
build a component from its repository are built where ``EXAWORKS_TEST_IMAGE_SDK``, ``EXAWORKS_TEST_IMAGE_TESTBED_FLUX``
are set: to further words for ``exaworks images build``, or to nothing.
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

from tests.containers.engine import Engine, refuse
from tests.needs import need

ROOT = Path(__file__).resolve().parents[2]
BASE = "localhost/exaworks/debian:12"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
BUILD_LIMIT = 1500.0
ON_DEMAND = ("sdk", "testbed-flux")


@dataclass
class Yard:
    """An engine, a base, and the images that were built; containers are removed at the end."""

    engine: Engine
    built: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def base(self) -> None:
        if self.engine.run("podman", "image", "exists", BASE).returncode == 0:
            return
        if os.getuid() != 0:
            refuse("debootstrap makes a base as root only")
        tree = self.engine.folder / "base"
        done = self.engine.run(need("debootstrap"), "--variant=minbase", "bookworm", str(tree), limit=900)
        if done.returncode != 0:
            refuse(f"debootstrap: {done.stdout.strip().splitlines()[-1]}")
        archive = self.engine.folder / "base.tar"
        excluded = ["--exclude=./var/cache/apt/*", "--exclude=./dev/*"]
        done = self.engine.run("tar", "--directory", str(tree), *excluded, "-cf", str(archive), ".")
        assert done.returncode == 0, done.stderr
        done = self.engine.run("podman", "import", "--quiet", str(archive), BASE)
        assert done.returncode == 0, done.stderr
        self.engine.run("rm", "-rf", "--one-file-system", str(tree), str(archive))

    def build(self, name: str, *options: str, again: bool = False, checkout: Path = ROOT) -> str:
        """Build an image by the command that a user gives, once."""
        if again or name not in self.built:
            argv = [sys.executable, "-m", "exaworks_sdk", "images", "build", name, "--engine=buildah"]
            argv += [f"--base={BASE}", *([f"--ca-bundle={CA_BUNDLE}"] if Path(CA_BUNDLE).exists() else []), *options]
            flags = f"--isolation chroot {os.environ.get('EXAWORKS_TEST_BUILD_FLAGS', '')}"
            more = {"EXAWORKS_HOME": str(self.engine.folder / "home"), "EXAWORKS_BUILD_FLAGS": flags}
            begun, revision = time.monotonic(), commit()
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
            self.commits[name], self.seconds[name] = revision, time.monotonic() - begun
            self.built[name] = done.stdout.strip()
        return self.built[name]

    def wanted(self, name: str) -> str:
        """Build an image once; one that takes long and needs repositories only where somebody asked for it."""
        if name not in ON_DEMAND:
            return self.build(name)
        variable = f"EXAWORKS_TEST_IMAGE_{name.upper().replace('-', '_')}"
        options = os.environ.get(variable)
        if options is None:
            pytest.skip(f"{name} is built where {variable} is set, to further words for the build or to nothing")
        return self.built.get(name) or self.build(name, *shlex.split(options))

    def argv(self, image: str, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        engine = ["podman", "run", "--rm", "--log-driver=none", "--no-healthcheck", "--network=host"]
        return [*engine, *options, image, *words]

    def run(
        self, image: str, *words: str, options: tuple[str, ...] = (), limit: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return self.engine.run(*self.argv(image, *words, options=options), limit=limit)

    def start(self, image: str, *words: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        argv = self.argv(image, *words, options=options)
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


def facts(yard: Yard, image: str) -> dict[str, object]:
    """Return what the engine says of an image."""
    seen: dict[str, object] = json.loads(yard.engine.run("podman", "image", "inspect", image).stdout)[0]
    return seen


def passed(done: subprocess.CompletedProcess[str], cases: set[str]) -> None:
    """Assert that a validation ended well and that these cases passed."""
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert {case["case_id"] for case in said["cases"] if case["outcome"] == "pass"} >= cases, said


def answers(url: str) -> bool:
    """Return whether a server answers well; wait a little where it does not."""
    try:
        well = requests.get(url, timeout=2).ok
    except requests.RequestException:
        well = False
    if not well:
        time.sleep(0.05)
    return well
