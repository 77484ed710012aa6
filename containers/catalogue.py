"""The images there are, each made from a release and a family of bases."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from containers.errors import ImagesError, NoImageError
from containers.model import Copy, Family, Image, Install, Run, Stage
from exaworks_sdk.release import FOLDER, Release

HOME = "/var/lib/exaworks"
SBOM = "/usr/share/exaworks/sbom.cdx.json"
LIBRARIES = "/opt/exaworks"
HARNESS = "/opt/harness"
RECIPES = Path(__file__).resolve().parent.parent / "spack_repo" / "exaworks" / "packages"
ENVIRONMENT = {
    "EXAWORKS_HOME": HOME,
    "EXAWORKS_SITES": "/etc/exaworks/sites",
    "GIT_PYTHON_REFRESH": "quiet",
    "LANG": "C.UTF-8",
}


def sdk_slim(release: Release, family: Family) -> Image:
    """The components that are on PyPI, in an environment of the distribution's own Python."""
    return Image(
        name="sdk-slim",
        title="ExaWorks SDK, slim",
        description="PSI/J, Parsl and RADICAL-Cybertools at the release's versions, and the harness that proves them",
        stages=(
            Stage("build", (Install(("python", "venv", "certificates", "compiler")), *_locks(release, family))),
            Stage("runtime", (Install(("python",)), *_runtime("sdk-slim", (LIBRARIES, HARNESS)))),
        ),
        environment={**ENVIRONMENT, "EXAWORKS_IMAGE": "sdk-slim", "PATH": f"{LIBRARIES}/bin:{_PATH}"},
        labels=_components(release, lambda component: component.pypi is not None),
        entrypoint=("exaworks",),
        command=("validate", "--no-upload"),
        healthcheck=("exaworks", "release", "list"),
        apptainer=True,
    )


def testbed_slurm(release: Release, family: Family) -> Image:
    """A node of a Slurm cluster; what kind of node is its first argument."""
    image = sdk_slim(release, family)
    role = Copy("containers/files/slurm-role", "/usr/local/bin/slurm-role", mode="0755")
    steps = (Install(("python", "slurm")), role, *_runtime("testbed-slurm", (LIBRARIES, HARNESS)))
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
            "env -C /build/flux ./autogen.sh",
            f"env -C /build/flux FLUX_VERSION={flux.version} ./configure --quiet --prefix=/opt/flux --disable-docs "
            f"PYTHON={family.python}",
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
    steps = (Install(("python", "flux-run")), start, *_runtime("testbed-flux", (LIBRARIES, HARNESS, "/opt/flux")))
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
            "PATH": f"/opt/flux/bin:{LIBRARIES}/bin:{_PATH}",
        },
        labels={**image.labels, **_components(release, lambda component: component.name == "flux")},
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
            Stage("build", (Install(("python", "venv", "certificates")), *_harness(release, family))),
            Stage("runtime", (Install(("python",)), *_runtime(None, (HARNESS,)))),
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


def sdk(release: Release, family: Family) -> Image:
    """Everything of the release, as Spack builds it; only the view and what it links to are kept."""
    pins = release.spack
    if pins is None:
        raise ImagesError(
            f"{FOLDER / release.name}.yaml: names no state of Spack (key spack) to build the image sdk with"
        )
    environment = "spack -e /opt/environment"
    fetch = Run(
        (
            f"{family.python} -m venv /build/python",
            f"/build/python/bin/python -m pip {_PIP} --require-hashes --requirement /src/containers/spack-python.lock",
            f"git clone --quiet --filter=blob:none {pins.tool.url} /build/spack",
            'git -C /build/spack checkout --quiet "${SPACK_COMMIT}"',
            f"git clone --quiet --filter=blob:none {pins.packages.url} /build/packages",
            'git -C /build/packages checkout --quiet "${PACKAGES_COMMIT}"',
        ),
        network=True,
        git=True,
    )
    scopes = ",".join(f"/src/{scope}" for scope in family.scopes)
    concretize = (
        *((f"/src/{family.links[0]} {family.links[1]}",) if family.links else ()),
        *_SPACK,
        "spack config --scope site add repos:builtin:/build/packages/repos/spack_repo/builtin",
        "spack config --scope site add repos:exaworks:/src/spack_repo/exaworks",
        *(() if family.scopes else ("spack compiler find --scope site",)),
        'if [ -n "${SPACK_MIRROR}" ]; then spack mirror add --scope site --unsigned lent "${SPACK_MIRROR}"; fi',
        "mkdir -p /opt/environment",
        f"cp /src/spack_repo/environments/{release.name}/spack.yaml /opt/environment/spack.yaml",
        f"{environment} config add config:install_tree:root:/opt/spack",
        f"{environment} config add config:install_tree:padded_length:false",
        f'{environment} config add "packages:all:target:[${{TARGET}}]"',
        *((f'{environment} config add "include:[{scopes}]"',) if scopes else ()),
        f"{environment} env view enable /opt/view",
        f"{environment} concretize",
    )
    build = (
        *_SPACK,
        f"{environment} install --fail-fast",
        f'if [ -n "${{SPACK_MIRROR}}" ]; then {environment} buildcache push --unsigned --update-index lent; fi',
        f"{environment} gc --yes-to-all",
        f"{environment} find --format '{{hash}}' exaworks > /opt/environment/dag-hash",
        "ls -d /opt/view/lib*/flux/python3.* > "
        '"$(/opt/view/bin/python3 -c \'import sysconfig; print(sysconfig.get_path("purelib"))\')/flux.pth"',
    )
    arguments = {
        "SPACK_COMMIT": pins.tool.commit,
        "PACKAGES_COMMIT": pins.packages.commit,
        "SPACK_MIRROR": "",
        "TARGET": "x86_64_v3",
    }
    sources = ("containers/spack-python.lock", "spack_repo", *(s for s in family.scopes if s.startswith("containers")))
    copies = [Copy(source, f"/src/{source}") for source in sources]
    if family.links:
        copies.append(Copy(family.links[0], f"/src/{family.links[0]}", mode="0755"))
    steps = (
        Install(("python", "venv", "certificates", "compiler", "git", "spack-build")),
        copies[0],
        fetch,
        *copies[1:],
        Run(concretize),
        Run(build),
        *_harness(release, family),
    )
    kept = ("/opt/spack", "/opt/environment", "/opt/view", *(family.links[1:] if family.links else ()), HARNESS)
    return Image(
        name="sdk",
        title="ExaWorks SDK",
        description="Flux, Parsl, PSI/J, RADICAL-Cybertools and Swift/T as Spack builds them, and the harness",
        stages=(
            Stage("build", steps, variables=tuple(arguments)),
            Stage("runtime", (Install(("python", "spack-run")), *_runtime("sdk", kept, tree="/opt/spack"))),
        ),
        environment={**ENVIRONMENT, "EXAWORKS_IMAGE": "sdk", "PATH": f"/opt/view/bin:{_PATH}", **_FLUX},
        labels=_components(release, lambda component: True),
        entrypoint=("exaworks",),
        command=("validate", "--no-upload"),
        healthcheck=("exaworks", "release", "list"),
        apptainer=True,
        arguments=arguments,
        dag_hash="/opt/environment/dag-hash",
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


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SPACK = (
    "export SPACK_DISABLE_LOCAL_CONFIG=1 SPACK_USER_CACHE_PATH=/build/cache SPACK_PYTHON=/build/python/bin/python",
    ". /build/spack/share/spack/setup-env.sh",
)
_FLUX = {
    "FLUX_CONNECTOR_PATH": "/opt/view/lib/flux/connectors",
    "FLUX_EXEC_PATH": "/opt/view/libexec/flux/cmd",
    "FLUX_MODPROBE_PATH_APPEND": "/opt/view/etc/flux/modprobe",
    "FLUX_MODULE_PATH": ":".join(
        f"/opt/view/{lib}/flux/modules{sched}" for lib in ("lib64", "lib") for sched in ("/sched", "")
    ),
    "FLUX_RC_EXTRA": "/opt/view/etc/flux",
}
"""What Spack would set: flux-sched lies in another prefix than flux-core, and the view holds both."""
_PIP = "install --no-cache-dir --no-compile --no-deps --disable-pip-version-check"


def _locks(release: Release, family: Family) -> tuple[Copy | Run, ...]:
    """Install the release's components from its lock, its build tools first and nothing built with others."""
    lock = f"exaworks_sdk/releases/{release.name}.lock"
    tools = "/tmp/build-tools.txt"  # noqa: S108 (of the stage that is thrown away)
    blocks = [rf"sed -n '/^{name}==/,/[^\\]$/p' /src/{lock} >> {tools}" for name in release.build_tools]
    pip = f"{LIBRARIES}/bin/python -m pip"
    components = Run(
        (
            f"{family.python} -m venv {LIBRARIES}",
            *blocks,
            *((f"{pip} {_PIP} --require-hashes --requirement {tools}",) if blocks else ()),
            f"{pip} {_PIP} --no-build-isolation --require-hashes --requirement /src/{lock}",
            f"{pip} check",
            *_finish(LIBRARIES),
        ),
        network=True,
    )
    return (Copy(lock, f"/src/{lock}"), components, *_harness(release, family))


def _harness(release: Release, family: Family) -> tuple[Copy | Run, ...]:
    """Install the project itself, apart from the components, and beside it what writes the bill of materials."""
    pip = f"{HARNESS}/bin/python -m pip"
    return (
        Copy("requirements/runtime.lock", "/src/requirements/runtime.lock"),
        Copy("containers/sbom.lock", "/src/containers/sbom.lock"),
        Run(
            (
                f"{family.python} -m venv {HARNESS}",
                f"{pip} {_PIP} --require-hashes --requirement /src/requirements/runtime.lock",
                f"{family.python} -m venv /opt/sbom",
                f"/opt/sbom/bin/python -m pip {_PIP} --require-hashes --requirement /src/containers/sbom.lock",
            ),
            network=True,
        ),
        Copy(".", "/src"),
        Run(
            (
                f"{pip} {_PIP} --no-index --no-build-isolation /src",
                f"{pip} check",
                *_finish(HARNESS),
                "cp /src/containers/sbom.py /opt/sbom/sbom.py",
            )
        ),
    )


def _finish(folder: str) -> tuple[str, ...]:
    """Leave out pip, and compile to byte code that says nothing of when it was made."""
    return (
        f"{folder}/bin/python -m pip uninstall --yes --quiet pip",
        f"{folder}/bin/python -m compileall -q --invalidation-mode unchecked-hash {folder}/lib || true",
    )


def _runtime(site: str | None, folders: tuple[str, ...], tree: str = "") -> tuple[Copy | Run, ...]:
    """Take what was built, add an ordinary user and the site file, and write the bill of materials."""
    environments = " ".join([tree] * bool(tree) + [folder for folder in folders if folder in (LIBRARIES, HARNESS)])
    copies: list[Copy | Run] = [Copy(folder, folder, stage="build") for folder in folders]
    if site:
        copies.append(Copy(f"containers/images/{site}/site.yaml", f"/etc/exaworks/sites/image/{site}.yaml"))
    made = f"{HOME} /cluster /run/exaworks" if site == "testbed-slurm" else HOME
    user = (
        "groupadd --gid 1000 exaworks",
        "useradd --uid 1000 --gid 1000 --create-home --shell /bin/sh exaworks",
        f"mkdir -p {made} {Path(SBOM).parent}",
        f"chown exaworks:exaworks {made}",
        f"ln -s {HARNESS}/bin/exaworks /usr/local/bin/exaworks",
        f'/opt/sbom/bin/python /opt/sbom/sbom.py {site or "collector"} "${{VERSION}}" {environments} > {SBOM}',
        "rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- /var/log/lastlog "
        "/var/log/faillog",
    )
    return (*copies, Run(user, lent=("/opt/sbom",)))


def _components(release: Release, wanted: Callable[..., bool]) -> dict[str, str]:
    return {f"org.exaworks.component.{c.name}": c.version for c in release.components if wanted(c)}


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
