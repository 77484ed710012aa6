"""Runs one program in a container: ``python -I contain.py --engine PROGRAM --image IMAGE [options] -- PROGRAM …``.

Standard library only, since it runs on compute nodes, inside the allocation, where the launcher has put it. What it
is started with decides the rest: the working directory is bound at its own path, the variables that belong to
scheduler, launcher and components go in by name, everything else stays outside.

With podman and docker a container is no descendant of their client, so no process group and no batch system's
tracking reaches it. It is tied to this process by a named pipe instead: ``payloads/_inside.py``, the container's
first process, ends everything as soon as this end of it is closed, also by SIGKILL.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

INSIDE = Path(__file__).resolve().parents[1] / "payloads" / "_inside.py"

PASSED = (
    *("SLURM_", "SLURMD_", "SBATCH_", "PBS_", "PBSPRO_", "LSB_", "LSF_", "LS_", "COBALT_", "FLUX_", "EMULATED_"),
    *("PMI_", "PMI2_", "PMIX_", "PALS_", "PRTE_", "OMPI_", "MPICH_", "MPIR_", "HYDRA_", "I_MPI_", "UCX_", "FI_"),
    *("OMP_", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"),
    *("PSIJ_", "PARSL_", "RADICAL_", "TURBINE_", "ADLB_"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TZ"),
    "EXAWORKS_CASE_MARK",
    "PYTHONNOUSERSITE",
)
"""Beginnings of the names of variables that reach into the container."""


def passed(environ: Mapping[str, str], more: Iterable[str] = ()) -> list[str]:
    """Return the names of the variables that go into the container."""
    extra = set(more)
    return sorted(name for name in environ if name.startswith(PASSED) or name in extra)


def binds(folder: str, given: Iterable[str], writable: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return what is bound at its own path, and how: ``given`` read-only, the others writable."""
    bound = {**dict.fromkeys(given, "ro"), **dict.fromkeys(writable, "rw")}
    if folder != "/":
        bound[folder] = "rw"
    return sorted(bound.items())


def oci_argv(
    engine: str, image: str, folder: str, mounts: list[tuple[str, str]], names: list[str], flags: list[str], user: str
) -> list[str]:
    """Return the command line of podman or docker up to the program; the values of variables are not in it."""
    home = "/tmp" if folder == "/" else folder  # noqa: S108 (the container's own)
    argv = [engine, "run", "--rm", "--pull=never", "--log-driver=none"]
    argv += ["--no-healthcheck", "--network=host", "--ipc=host", "--security-opt=label=disable", f"--user={user}"]
    argv += [f"--workdir={folder}", "--entrypoint=", f"--env=HOME={home}", *(f"--env={name}" for name in names)]
    argv += [f"--volume={path}:{path}:{mode}" for path, mode in mounts]
    if Path(engine).name == "podman" and os.getuid() != 0:
        argv.append("--userns=keep-id")
    return [*argv, *flags, image]


def apptainer_argv(engine: str, image: str, folder: str, mounts: list[tuple[str, str]], flags: list[str]) -> list[str]:
    """Return the command line of Apptainer or Singularity up to the program."""
    argv = [engine, "exec", "--cleanenv", "--no-home", "--pwd", folder]
    for path, mode in mounts:
        argv += ["--bind", f"{path}:{path}:{mode}"]
    return [*argv, *flags, image]


def user_of(engine: str) -> str:
    """Return whom the program runs as: whoever runs this, so that what it writes outside belongs to them."""
    if Path(engine).name == "docker":
        asked = [engine, "info", "--format", "{{.SecurityOptions}}"]
        done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if "name=rootless" in done.stdout:
            return "0:0"
    return f"{os.getuid()}:{os.getgid()}"


def run_oci(argv: list[str], lifeline: Path) -> int:
    """Run the client with the lifeline held open; return its exit code as ``subprocess`` gives it."""
    os.mkfifo(lifeline, 0o600)
    held = os.open(lifeline, os.O_RDWR | os.O_CLOEXEC)
    # Not in the case's folder: an engine's monitor that seemed to be at work there would be taken for a leftover and
    # killed, and with it what removes the container.
    client = subprocess.Popen(argv, stdin=subprocess.DEVNULL, close_fds=True, cwd="/")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: client.send_signal(n))
    code = client.wait()
    os.close(held)
    return code


def main() -> None:
    """Run the program and leave as it left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", required=True, help="path of podman, docker, apptainer or singularity")
    parser.add_argument("--image", required=True)
    parser.add_argument("--python", default="python3", help="the image's interpreter")
    parser.add_argument("--bind", action="append", default=[], help="bound read-only at its own path")
    parser.add_argument("--bind-writable", action="append", default=[], help="bound at its own path")
    parser.add_argument("--env", action="append", default=[], help="one more variable that goes in")
    parser.add_argument("--flag", action="append", default=[], help="one more word of the engine's command line")
    parser.add_argument("argv", nargs="+")
    given = parser.parse_args()
    folder = os.getcwd()  # noqa: PTH109
    mounts = binds(folder, given.bind, given.bind_writable)
    names = passed(os.environ, given.env)
    if Path(given.engine).name in ("apptainer", "singularity"):
        environ = {name: value for name, value in os.environ.items() if name not in names}
        for name in names:
            environ[f"APPTAINERENV_{name}"] = environ[f"SINGULARITYENV_{name}"] = os.environ[name]
        argv = apptainer_argv(given.engine, given.image, folder, mounts, given.flag)
        os.execve(given.engine, [*argv, *given.argv], environ)  # noqa: S606 (a descendant: groups and marks reach it)
    place = Path(tempfile.mkdtemp(prefix=".image-", dir=None if folder == "/" else folder))
    lifeline = place / "lifeline"
    try:
        mounts = [*mounts, (str(INSIDE), "ro"), *([(str(place), "rw")] if folder == "/" else [])]
        argv = oci_argv(given.engine, given.image, folder, mounts, names, given.flag, user_of(given.engine))
        code = run_oci([*argv, given.python, str(INSIDE), str(lifeline), *given.argv], lifeline)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    _leave(code)


def _leave(code: int) -> None:
    """Exit as the program did; a signal's number that came through as 128 + N becomes a signal again."""
    number = -code if code < 0 else code - 128
    if number > 0:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if number != signal.SIGKILL:
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
    sys.exit(code if code >= 0 else 1)


if __name__ == "__main__":
    main()
