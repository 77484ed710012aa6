"""Steps and values that several images use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from containers.model import Copy, Family, Run
from exaworks_sdk.release import Release

HOME = "/var/lib/exaworks"
SBOM = "/usr/share/exaworks/sbom.cdx.json"
LIBRARIES = "/opt/exaworks"
HARNESS = "/opt/harness"
JUPYTER = "/opt/jupyter"
ENVIRONMENT = {
    "EXAWORKS_HOME": HOME,
    "EXAWORKS_SITES": "/etc/exaworks/sites",
    "GIT_PYTHON_REFRESH": "quiet",
    "LANG": "C.UTF-8",
}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PIP = "install --no-cache-dir --no-compile --no-deps --disable-pip-version-check"


def locks(release: Release, family: Family) -> tuple[Copy | Run, ...]:
    """Install the release's components from its lock; the locked build tools are installed first and build the rest."""
    lock = f"exaworks_sdk/releases/{release.name}.lock"
    tools = "/tmp/build-tools.txt"  # noqa: S108 (in a stage that is not kept)
    blocks = [rf"sed -n '/^{name}==/,/[^\\]$/p' /src/{lock} >> {tools}" for name in release.build_tools]
    pip = f"{LIBRARIES}/bin/python -m pip"
    components = Run(
        (
            f"{family.python} -m venv {LIBRARIES}",
            "export CFLAGS=-g0",  # debug information names the build folder, which differs each time
            *blocks,
            *((f"{pip} {PIP} --require-hashes --requirement {tools}",) if blocks else ()),
            f"{pip} {PIP} --no-build-isolation --require-hashes --requirement /src/{lock}",
            f"{pip} check",
            *finish(LIBRARIES),
        ),
        network=True,
    )
    return (Copy(lock, f"/src/{lock}"), components, *harness(release, family))


def harness(release: Release, family: Family) -> tuple[Copy | Run, ...]:
    """Install the project, separate from the components, and separately the program for the bill of materials."""
    pip = f"{HARNESS}/bin/python -m pip"
    return (
        Copy("requirements/runtime.lock", "/src/requirements/runtime.lock"),
        Copy("containers/sbom.lock", "/src/containers/sbom.lock"),
        Run(
            (
                f"{family.python} -m venv {HARNESS}",
                f"{pip} {PIP} --require-hashes --requirement /src/requirements/runtime.lock",
                f"{family.python} -m venv /opt/sbom",
                f"/opt/sbom/bin/python -m pip {PIP} --require-hashes --requirement /src/containers/sbom.lock",
            ),
            network=True,
        ),
        Copy(".", "/src"),
        Run(
            (
                f"{pip} {PIP} --no-index --no-build-isolation /src",
                f"{pip} check",
                *finish(HARNESS),
                "cp /src/containers/sbom.py /opt/sbom/sbom.py",
            )
        ),
    )


def jupyter(family: Family) -> tuple[Copy | Run, ...]:
    """Install JupyterLab, separate from the components, in which its notebooks' commands run."""
    lock = "exaworks_sdk/tutorials/jupyter.lock"
    install = f"{JUPYTER}/bin/python -m pip {PIP} --require-hashes --requirement /src/{lock}"
    commands = (f"{family.python} -m venv {JUPYTER}", install, f"{JUPYTER}/bin/python -m pip check", *finish(JUPYTER))
    return (Copy(lock, f"/src/{lock}"), Run(commands, network=True))


def finish(folder: str) -> tuple[str, ...]:
    """Remove pip, and compile all modules to byte code without timestamps, so that two builds are identical."""
    return (
        f"{folder}/bin/python -m pip uninstall --yes --quiet pip",
        f"{folder}/bin/python -m compileall -q -f --invalidation-mode unchecked-hash {folder}/lib || true",
    )


def runtime(site: str | None, folders: tuple[str, ...], tree: str = "") -> tuple[Copy | Run, ...]:
    """Copy the built folders, add an ordinary user and the site file, and write the bill of materials."""
    environments = " ".join(
        [tree] * bool(tree) + [folder for folder in folders if folder in (LIBRARIES, HARNESS, JUPYTER)]
    )
    copies: list[Copy | Run] = [Copy(folder, folder, stage="build") for folder in folders]
    if site:
        copies.append(Copy(f"containers/images/{site}/site.yaml", f"/etc/exaworks/sites/image/{site}.yaml"))
    created = f"{HOME} /cluster /run/exaworks" if site == "testbed-slurm" else HOME
    user = (
        "groupadd --gid 1000 exaworks",
        "useradd --uid 1000 --gid 1000 --create-home --shell /bin/sh exaworks",
        f"mkdir -p {created} {Path(SBOM).parent}",
        f"chown exaworks:exaworks {created}",
        f"ln -s {HARNESS}/bin/exaworks /usr/local/bin/exaworks",
        f'/opt/sbom/bin/python /opt/sbom/sbom.py {site or "collector"} "${{VERSION}}" {environments} > {SBOM}',
        "rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- /var/log/lastlog "
        "/var/log/faillog",
    )
    return (*copies, Run(user, mounted=("/opt/sbom",)))


def labels(release: Release, wanted: Callable[..., bool]) -> dict[str, str]:
    """Return the labels with the versions of the components for which ``wanted`` returns true."""
    return {f"org.exaworks.component.{c.name}": c.version for c in release.components if wanted(c)}
