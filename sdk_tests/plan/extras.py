"""Components outside the release, which join the harness as the component of any other package does.

Each consists of its kind, a line in the entry point group ``exaworks.components``, its payloads and its cases. No
release contains them and no site has to have them: where one is absent, a run says so in one line.
"""

from __future__ import annotations

from sdk_tests.plan.components import ComponentKind


def _added(package: str) -> str:
    return f"`pip install {package}` adds it"


COLMENA = ComponentKind(
    "colmena",
    distribution="colmena",
    preflight="colmena/_preflight.py",
    logs="colmena/_logs.py",
    extra=_added("colmena"),
)
DASK = ComponentKind(
    "dask",
    distribution="dask-jobqueue",
    preflight="dask/_preflight.py",
    logs="dask/_logs.py",
    extra=_added("dask-jobqueue"),
)
GLOBUS_COMPUTE = ComponentKind(
    "globus-compute",
    distribution="globus-compute-endpoint",
    preflight="globus/_preflight.py",
    logs="globus/_logs.py",
    extra=_added("globus-compute-endpoint"),
)
LIBENSEMBLE = ComponentKind(
    "libensemble",
    distribution="libensemble",
    preflight="libensemble/_preflight.py",
    logs="libensemble/_logs.py",
    extra=_added("libensemble"),
)
MAESTRO = ComponentKind(
    "maestro",
    distribution="maestrowf",
    preflight="maestro/_preflight.py",
    logs="maestro/_logs.py",
    extra="`exaworks install --variants +maestro` builds it",
)
