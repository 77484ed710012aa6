"""The image with all components of the release, built with Spack."""

from __future__ import annotations

from containers.errors import ImagesError
from containers.model import Copy, Family, Image, Install, Run, Stage
from containers.steps import ENVIRONMENT, HARNESS, PATH, PIP, harness, labels, runtime
from exaworks_sdk.release import FOLDER, Release

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
"""Variables that Spack would set: flux-sched has another prefix than flux-core, and the view contains both."""


def sdk(release: Release, family: Family) -> Image:
    """Return the image with all components of the release, built with Spack; it has the view and what this links to."""
    pins = release.spack
    if pins is None:
        raise ImagesError(
            f"{FOLDER / release.name}.yaml: has no commits of Spack (key spack), which the image sdk is built with"
        )
    environment = "spack -e /opt/environment"
    fetch = Run(
        (
            f"{family.python} -m venv /build/python",
            f"/build/python/bin/python -m pip {PIP} --require-hashes --requirement /src/containers/spack-python.lock",
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
        *((f'/src/{family.links[0]} "${{LINKS}}"',) if family.links else ()),
        *_SPACK,
        "spack config --scope site add repos:exaworks:/src/spack_repo/exaworks",  # first: it has precedence
        "spack config --scope site add repos:builtin:/build/packages/repos/spack_repo/builtin",
        'if [ -n "${SPACK_MIRROR}" ]; then spack mirror add --scope site --unsigned host "${SPACK_MIRROR}"; fi',
        "mkdir -p /opt/environment",
        f"cp /src/spack_repo/environments/{release.name}/spack.yaml /opt/environment/spack.yaml",
        f"{environment} config add config:install_tree:root:/opt/spack",
        f"{environment} config add config:install_tree:padded_length:false",
        f'{environment} config add "packages:all:target:[${{TARGET}}]"',
        f'if [ -n "${{SCOPES}}" ]; then {environment} config add "include:[${{SCOPES}}]"; '
        "else spack compiler find --scope site; fi",
        f"{environment} env view enable /opt/view",
        f"{environment} concretize",
    )
    build = (
        *_SPACK,
        f"{environment} install --fail-fast",
        f'if [ -n "${{SPACK_MIRROR}}" ]; then {environment} buildcache push --unsigned --update-index '
        "--allow-missing host; fi",
        f"{environment} gc --yes-to-all",
        f"{environment} find --format '{{hash}}' exaworks > /opt/environment/dag-hash",
        "ls -d /opt/view/lib*/flux/python3.* > "
        '"$(/opt/view/bin/python3 -c \'import sysconfig; print(sysconfig.get_path("purelib"))\')/flux.pth"',
    )
    arguments = {
        "SPACK_COMMIT": pins.tool.commit,
        "PACKAGES_COMMIT": pins.packages.commit,
        "SPACK_MIRROR": "",
        "SCOPES": scopes,
        "TARGET": "x86_64_v3",
    }
    if family.links:
        arguments["LINKS"] = family.links[1]
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
        *harness(release, family),
    )
    kept = ("/opt/spack", "/opt/environment", "/opt/view", *(("${LINKS}",) if family.links else ()), HARNESS)
    return Image(
        name="sdk",
        title="ExaWorks SDK",
        description="Flux, Parsl, PSI/J, RADICAL-Cybertools and Swift/T, built with Spack, and the test harness",
        stages=(
            Stage("build", steps, variables=tuple(arguments)),
            Stage(
                "runtime",
                (Install(("python", "processes", "spack-run")), *runtime("sdk", kept, tree="/opt/spack")),
                variables=("LINKS",) if family.links else (),
            ),
        ),
        environment={**ENVIRONMENT, "EXAWORKS_IMAGE": "sdk", "PATH": f"/opt/view/bin:{PATH}", **_FLUX},
        labels=labels(release, lambda component: True),
        entrypoint=("exaworks",),
        command=("validate", "--no-upload"),
        healthcheck=("exaworks", "release", "list"),
        apptainer=True,
        arguments=arguments,
        dag_hash="/opt/environment/dag-hash",
    )
