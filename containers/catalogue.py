"""The images there are, each made from a release and a family of bases."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from containers.errors import ImagesError, NoImageError
from containers.model import Copy, Family, Image, Install, Run, Stage
from containers.spack_image import sdk
from containers.steps import ENVIRONMENT, HARNESS, LIBRARIES, PATH, harness, labels, locks, runtime
from exaworks_sdk.release import FOLDER, Release

RECIPES = Path(__file__).resolve().parent.parent / "spack_repo" / "exaworks" / "packages"


def sdk_slim(release: Release, family: Family) -> Image:
    """The components that are on PyPI, in an environment of the distribution's own Python."""
    return Image(
        name="sdk-slim",
        title="ExaWorks SDK, slim",
        description="PSI/J, Parsl and RADICAL-Cybertools at the release's versions, and the harness that proves them",
        stages=(
            Stage("build", (Install(("python", "venv", "certificates", "compiler")), *locks(release, family))),
            Stage("runtime", (Install(("python", "processes")), *runtime("sdk-slim", (LIBRARIES, HARNESS)))),
        ),
        environment={**ENVIRONMENT, "EXAWORKS_IMAGE": "sdk-slim", "PATH": f"{LIBRARIES}/bin:{PATH}"},
        labels=labels(release, lambda component: component.pypi is not None),
        entrypoint=("exaworks",),
        command=("validate", "--no-upload"),
        healthcheck=("exaworks", "release", "list"),
        apptainer=True,
    )


def testbed_slurm(release: Release, family: Family) -> Image:
    """A node of a Slurm cluster; what kind of node is its first argument."""
    image = sdk_slim(release, family)
    role = Copy("containers/files/slurm-role", "/usr/local/bin/slurm-role", mode="0755")
    steps = (Install(("python", "processes", "slurm")), role, *runtime("testbed-slurm", (LIBRARIES, HARNESS)))
    return Image(
        name="testbed-slurm",
        title="ExaWorks testbed: Slurm",
        description="Controller, compute node or login node of a throw-away Slurm cluster with the ExaWorks SDK",
        stages=(image.stages[0], Stage("runtime", steps)),
        environment={
            **image.environment,
            "EXAWORKS_HOME": "/cluster/exaworks",
            "EXAWORKS_IMAGE": "testbed-slurm",
            "SLURM_CONF": "/cluster/slurm.conf",
        },
        labels=image.labels,
        entrypoint=("slurm-role",),
        command=("login", "sleep", "infinity"),
        healthcheck=("slurm-role", "health"),
    )


def testbed_flux(release: Release, family: Family) -> Image:
    """A Flux instance of several brokers on one machine; the command runs inside it."""
    image = sdk_slim(release, family)
    flux = next(component for component in release.components if component.name == "flux")
    build = Run(
        (
            f"git clone --quiet --depth 1 --branch v{flux.version} {flux.url} /build/flux",
            'test "$(git -C /build/flux rev-parse HEAD)" = "${FLUX_COMMIT}"',
            f"export FLUX_VERSION={flux.version}",  # else it is made of tags, which a mirror may lack
            "env -C /build/flux ./autogen.sh",
            f"env -C /build/flux ./configure --quiet --prefix=/opt/flux --disable-docs PYTHON={family.python}",
            'make --directory=/build/flux --jobs="$(nproc)" --quiet install',
            "find /opt/flux -name '*.la' -delete",
            "rm -rf /build/flux",
        ),
        git=True,
    )
    arguments = {"FLUX_COMMIT": _commit("flux_core", flux.version)}
    (first, *rest) = image.stages[0].steps
    assert isinstance(first, Install)
    start = Copy("containers/files/flux-role", "/usr/local/bin/flux-role", mode="0755")
    # Flux's bindings import packages of the distribution, which the components' environment does not see by itself.
    bindings = (
        "import os, _cffi_backend, ply, yaml; up = os.path.dirname; "
        'print(*sorted({up(_cffi_backend.__file__), up(up(ply.__file__)), up(up(yaml.__file__))}), sep="\\n")'
    )
    packages = f"{LIBRARIES}/bin/python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'"
    seen = Run((f"{family.python} -c '{bindings}' > \"$({packages})/flux.pth\"",))
    steps = (
        Install(("python", "processes", "flux-run")),
        start,
        *runtime("testbed-flux", (LIBRARIES, HARNESS, "/opt/flux")),
        seen,
    )
    return Image(
        name="testbed-flux",
        title="ExaWorks testbed: Flux",
        description="A throw-away Flux instance of several brokers with the ExaWorks SDK",
        stages=(
            Stage("build", (Install((*first.names, "git", "flux-build")), build, *rest), variables=tuple(arguments)),
            Stage("runtime", steps),
        ),
        environment={
            **image.environment,
            "EXAWORKS_IMAGE": "testbed-flux",
            "PATH": f"/opt/flux/bin:{LIBRARIES}/bin:{PATH}",
        },
        labels={**image.labels, **labels(release, lambda component: component.name == "flux")},
        entrypoint=("flux-role",),
        command=("exaworks", "validate", "--no-upload"),
        healthcheck=("flux", "version"),
        arguments=arguments,
    )


def collector(release: Release, family: Family) -> Image:
    """The server that takes results and draws the dashboard."""
    return Image(
        name="collector",
        title="ExaWorks collector",
        description="The server that takes results of every site and draws the status dashboard",
        stages=(
            Stage("build", (Install(("python", "venv", "certificates")), *harness(release, family))),
            Stage("runtime", (Install(("python",)), *runtime(None, (HARNESS,)))),
        ),
        environment={**ENVIRONMENT, "EXAWORKS_IMAGE": "collector"},
        labels={},
        entrypoint=("exaworks", "collector"),
        command=("serve", "--host", "0.0.0.0", "--port", "8350", "--allow-remote"),  # noqa: S104
        healthcheck=(
            f"{HARNESS}/bin/python",
            "-c",
            "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8350/healthz', timeout=3)",
        ),
        ports=(8350,),
    )


IMAGES: dict[str, Callable[[Release, Family], Image]] = {
    "sdk": sdk,
    "sdk-slim": sdk_slim,
    "testbed-slurm": testbed_slurm,
    "testbed-flux": testbed_flux,
    "collector": collector,
}


def image(name: str, release: Release, family: Family) -> Image:
    """Return the image of that name.

    Raises:
        NoImageError: there is none.
    """
    if name not in IMAGES:
        raise NoImageError(f"there is no image {name}; `exaworks images list` shows {', '.join(IMAGES)}")
    return IMAGES[name](release, family)


def _commit(package: str, version: str) -> str:
    """Return the commit that the release's own recipe pins for a version.

    Raises:
        ImagesError: the recipe has no such version, or gives no commit for it.
    """
    path = RECIPES / package / "package.py"
    found = re.search(rf'version\("{re.escape(version)}", commit="(\w+)"', path.read_text(encoding="utf-8"))
    if found is None:
        raise ImagesError(f"{path}: gives no commit for {version}, the version in {FOLDER}; make the two agree")
    return found[1]
