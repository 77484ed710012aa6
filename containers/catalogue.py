"""The catalogue of images; each is a function of a release and a family of base images."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from containers.errors import ImagesError, NoImageError
from containers.model import Copy, Family, Image, Install, Run, Stage
from containers.spack_image import sdk
from containers.steps import ENVIRONMENT, HARNESS, JUPYTER, LIBRARIES, PATH, harness, jupyter, labels, locks, runtime
from exaworks_sdk.release import FOLDER, Release

FLUX = "/opt/flux"
RECIPES = Path(__file__).resolve().parent.parent / "spack_repo" / "exaworks" / "packages"


def sdk_slim(release: Release, family: Family) -> Image:
    """Return the image with the components from PyPI, in an environment of the distribution's Python."""
    return Image(
        name="sdk-slim",
        title="ExaWorks SDK, slim",
        description="PSI/J, Parsl and RADICAL-Cybertools in the versions of the release, and the test harness",
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
    """Return the image of a Slurm cluster's nodes; the first argument of a container is the kind of node."""
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
    """Return the image with a Flux instance of several brokers on one machine; commands run inside the instance."""
    image = sdk_slim(release, family)
    build, bindings, arguments = _flux(release, family)
    start = Copy("containers/files/flux-role", "/usr/local/bin/flux-role", mode="0755")
    steps = (
        Install(("python", "processes", "flux-run")),
        start,
        *runtime("testbed-flux", (LIBRARIES, HARNESS, FLUX)),
        bindings,
    )
    return Image(
        name="testbed-flux",
        title="ExaWorks testbed: Flux",
        description="A throw-away Flux instance of several brokers with the ExaWorks SDK",
        stages=(_with_flux(image.stages[0], build, arguments), Stage("runtime", steps)),
        environment={
            **image.environment,
            "EXAWORKS_IMAGE": "testbed-flux",
            "PATH": f"{FLUX}/bin:{LIBRARIES}/bin:{PATH}",
        },
        labels={**image.labels, **labels(release, lambda component: component.name == "flux")},
        entrypoint=("flux-role",),
        command=("exaworks", "validate", "--no-upload"),
        healthcheck=("flux", "version"),
        arguments=arguments,
    )


def tutorials(release: Release, family: Family) -> Image:
    """Return the image with JupyterLab, the tutorials as notebooks, Slurm's programs for a private testbed, and Flux.

    Without a commit of Flux (``FLUX_COMMIT=``) the image is built without it.
    """
    image = sdk_slim(release, family)
    build, bindings, arguments = _flux(release, family, optional=True)
    first = _with_flux(image.stages[0], build, arguments)
    steps = (
        Install(("python", "processes", "slurm", "flux-run")),
        *runtime("tutorials", (LIBRARIES, HARNESS, JUPYTER, FLUX)),
        bindings,
    )
    return Image(
        name="tutorials",
        title="ExaWorks tutorials",
        description="JupyterLab with the tutorials of the ExaWorks SDK, its components, a private Slurm, and Flux",
        stages=(
            Stage(first.name, (*first.steps, *jupyter(family)), variables=first.variables),
            Stage("runtime", steps),
        ),
        environment={**image.environment, "EXAWORKS_IMAGE": "tutorials", "PATH": f"{FLUX}/bin:{LIBRARIES}/bin:{PATH}"},
        labels={**image.labels, **labels(release, lambda component: component.name == "flux")},
        entrypoint=(
            *("exaworks", "tutorials", "--jupyter", JUPYTER, "--deployment", LIBRARIES),
            *("--host", "0.0.0.0", "--no-browser"),  # noqa: S104
        ),
        command=("--to", "/home/exaworks/tutorials"),
        healthcheck=(
            f"{JUPYTER}/bin/python",
            "-c",
            "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8888/api', timeout=3)",
        ),
        ports=(8888,),
        arguments=arguments,
    )


def _flux(release: Release, family: Family, *, optional: bool = False) -> tuple[Run, Run, dict[str, str]]:
    """Return what builds Flux, what makes its bindings usable in the components' environment, and the arguments.

    ``optional``: without a commit, nothing is built.
    """
    flux = next(component for component in release.components if component.name == "flux")
    build = Run(
        (
            *((f"mkdir -p {FLUX}", 'if [ -z "${FLUX_COMMIT}" ]; then exit 0; fi') if optional else ()),
            f"git clone --quiet --depth 1 --branch v{flux.version} {flux.url} /build/flux",
            'test "$(git -C /build/flux rev-parse HEAD)" = "${FLUX_COMMIT}"',
            f"export FLUX_VERSION={flux.version}",  # the default is computed from tags, which a mirror may not have
            "env -C /build/flux ./autogen.sh",
            f"env -C /build/flux ./configure --quiet --prefix={FLUX} --disable-docs PYTHON={family.python}",
            'make --directory=/build/flux --jobs="$(nproc)" --quiet install',
            f"find {FLUX} -name '*.la' -delete",
            "rm -rf /build/flux",
        ),
        git=True,
    )
    # Flux's bindings import packages of the distribution, which are not on the path of the components' environment.
    listing = (
        "import os, _cffi_backend, ply, yaml; up = os.path.dirname; "
        'print(*sorted({up(_cffi_backend.__file__), up(up(ply.__file__)), up(up(yaml.__file__))}), sep="\\n")'
    )
    packages = f"{LIBRARIES}/bin/python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'"
    bindings = Run((f"{family.python} -c '{listing}' > \"$({packages})/flux.pth\"",))
    return build, bindings, {"FLUX_COMMIT": _commit("flux_core", flux.version)}


def _with_flux(stage: Stage, build: Run, arguments: dict[str, str]) -> Stage:
    """Return the build stage of ``sdk-slim`` with Flux built before everything else."""
    (first, *rest) = stage.steps
    assert isinstance(first, Install)
    return Stage(stage.name, (Install((*first.names, "git", "flux-build")), build, *rest), variables=tuple(arguments))


def collector(release: Release, family: Family) -> Image:
    """Return the image of the collector, which receives results and shows the dashboard."""
    return Image(
        name="collector",
        title="ExaWorks collector",
        description="The server that receives the results of all sites and shows the status dashboard",
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
    "tutorials": tutorials,
    "collector": collector,
}


def image(name: str, release: Release, family: Family) -> Image:
    """Return the image of that name.

    Raises:
        NoImageError: no image has that name.
    """
    if name not in IMAGES:
        raise NoImageError(f"there is no image {name}; known here: {', '.join(IMAGES)}")
    return IMAGES[name](release, family)


def _commit(package: str, version: str) -> str:
    """Return the commit that this project's recipe pins for a version.

    Raises:
        ImagesError: the recipe does not have that version, or has no commit for it.
    """
    path = RECIPES / package / "package.py"
    match = re.search(rf'version\("{re.escape(version)}", commit="(\w+)"', path.read_text(encoding="utf-8"))
    if match is None:
        raise ImagesError(f"{path}: no commit for version {version}, which a manifest in {FOLDER} names. Add it there.")
    return match[1]
