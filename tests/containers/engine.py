"""A container engine for tests, with its own store, and images that need no registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.needs import program, required

PYTHON = "localhost/exaworks/test-python:3"
RESTRICTED = """
[containers]
netns = "host"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
"""
"""For machines where programs cannot raise limits or create cgroups, such as a container."""
HELPERS = ("/usr/libexec/podman", "/usr/lib/podman")
NAME_RESOLUTION = """helper_binaries_dir = ["{folder}"]
[network]
network_backend = "netavark"
network_config_dir = "{state}/networks"
"""
"""For containers that connect to each other by name, which podman's older networks do not support."""
LONGEST_RUNROOT = 50
"""The longest usable runroot, in characters. With a longer one podman does not clean up, and waits 20 s for that."""


@dataclass
class Engine:
    """podman with a configuration and a store below ``folder``."""

    folder: Path
    state: Path = field(init=False)

    def __post_init__(self) -> None:
        """Use a folder for the state of running containers below ``folder``, unless its name is too long for podman."""
        self.state = self.folder / "run"
        if len(str(self.state)) > LONGEST_RUNROOT:
            self.state = Path(tempfile.mkdtemp(prefix="podman-"))

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV"))}
        return {
            **kept,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def configure(self) -> None:
        """Write the configuration, with few requirements on the machine and a store below ``folder``."""
        runtime = next((name for name in ("runc", "crun") if program(name)), None)
        helpers = self.helpers()
        (self.folder / "containers.conf").write_text(
            RESTRICTED
            + (f'runtime = "{runtime}"\n' if runtime else "")
            + (NAME_RESOLUTION.format(folder=helpers, state=self.folder) if helpers else "")
        )
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.folder}/store"\nrunroot = "{self.state}"\n'
        )

    @staticmethod
    def helpers() -> Path | None:
        """Return the folder of netavark and aardvark-dns: EXAWORKS_TEST_PODMAN_HELPERS, or podman's own."""
        named = os.environ.get("EXAWORKS_TEST_PODMAN_HELPERS")
        folders = [Path(folder) for folder in ([named] if named else HELPERS)]
        wanted = ("netavark", "aardvark-dns")
        return next((folder for folder in folders if all((folder / name).exists() for name in wanted)), None)

    def run(self, *argv: str, limit: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, env=self.environ, capture_output=True, text=True, timeout=limit, check=False)

    def containers(self) -> list[str]:
        """Return the ids of all containers, running or not."""
        return self.run("podman", "ps", "--all", "--quiet", "--no-trunc").stdout.split()

    def close(self) -> None:
        self.run("podman", "rm", "--all", "--force", "--time", "0")
        self.run("podman", "rmi", "--all", "--force")
        self.run("umount", str(self.folder / "store" / "overlay"))
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def host_python(target: Path) -> None:
    """Write a root file system with this machine's Python, a shell and their libraries, as a quick image."""
    python = Path("/usr/bin/python3").resolve()
    library = Path(
        subprocess.run(
            [python, "-Ic", "import os; print(os.path.dirname(os.__file__))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    shell = Path("/bin/sh").resolve()
    programs = [python, shell, *(Path(path).resolve() for name in ("sleep", "env") if (path := shutil.which(name)))]
    extensions = [*library.glob("lib-dynload/*.so")]
    linked: set[Path] = set()
    for file in [*programs, *extensions]:
        output = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        linked |= {Path(word) for line in output.splitlines() for word in line.split() if word.startswith("/")}

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        skipped = ("__pycache__", "dist-packages", "site-packages", "test", "idlelib", "config-")
        return None if any(part.startswith(skipped) for part in Path(member.name).parts) else member

    with tarfile.open(target, "w", dereference=False) as archive:
        for file in programs:
            archive.add(file, str(file).lstrip("/"))
        for file in linked:
            archive.add(file.resolve(), str(file).lstrip("/"))
        archive.add(library, str(library).lstrip("/"), filter=kept)
        for name, points in (("usr/bin/python3", str(python)), ("bin/sh", str(shell))):
            if f"/{name}" != points:
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, points
                archive.addfile(link)
        for name in ("tmp", "proc", "sys", "dev", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)


def skip_or_fail(reason: str) -> None:
    """Skip the test because the engine cannot run; fail if the engine is required."""
    if "podman" in required():
        pytest.fail(f"EXAWORKS_REQUIRE names podman, but it cannot run here: {reason}", pytrace=False)
    pytest.skip(f"podman cannot run here: {reason}")


def ready(engine: Engine) -> Engine:
    """Return the engine with an image that has Python and that can start."""
    engine.configure()
    archive = engine.folder / "python.tar"
    host_python(archive)
    done = engine.run("podman", "import", "--quiet", str(archive), PYTHON)
    archive.unlink()
    if done.returncode == 0:
        done = engine.run("podman", "run", "--rm", PYTHON, "/bin/sh", "-c", "exit 0")
    if done.returncode != 0:
        skip_or_fail(done.stderr.strip().splitlines()[-1])
    return engine
