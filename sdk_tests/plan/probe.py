"""What is really there: the components of a deployment, read from metadata by its own interpreter, and the machine."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard_client.schema import Component
from sdk_tests.deployments.deployment import Deployment, digest
from sdk_tests.errors import DeploymentError
from sdk_tests.plan.components import ComponentKind

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
PROBE_LIMIT = 60.0


@dataclass(frozen=True)
class DeploymentContents:
    """The probe's answer. ``absent`` maps a component that is not there to what was looked for and where."""

    components: dict[str, Component]
    absent: dict[str, str]
    digest: str
    python: str
    executable: str
    machine: str
    mpi: str | None
    modules: list[str]


def probe(deployment: Deployment, kinds: Mapping[str, ComponentKind]) -> DeploymentContents:
    """Ask the deployment's interpreter.

    Raises:
        DeploymentError: it does not run, or does not answer in time.
    """
    question = {
        "distributions": [kind.distribution for kind in kinds.values() if kind.distribution],
        "commands": {kind.command: list(kind.version_args) for kind in kinds.values() if kind.command},
    }
    argv = deployment.wrap([deployment.python, str(PAYLOADS / "_probe.py"), json.dumps(question)])
    try:
        done = subprocess.run(
            argv,
            env=dict(deployment.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_LIMIT,
            check=False,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeploymentError(f"deployment {deployment.name}: its interpreter does not answer: {error}") from error
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise DeploymentError(f"deployment {deployment.name}: {deployment.python} cannot be probed: {last}") from error
    components, absent = {}, {}
    for name, kind in kinds.items():
        seen, reason = _component(kind, said, deployment)
        if seen is None:
            absent[name] = reason
        else:
            components[name] = seen
    commands = {name: answer["says"] for name, answer in said["commands"].items() if answer}
    return DeploymentContents(
        components=components,
        absent=absent,
        digest=deployment.digest or digest(deployment.kind, said["python"], said["everything"], commands),
        python=said["python"],
        executable=said["executable"],
        machine=said["machine"],
        mpi=_mpi(said["mpi"]),
        modules=said["modules"],
    )


def _component(kind: ComponentKind, said: dict[str, Any], deployment: Deployment) -> tuple[Component | None, str]:
    if kind.distribution:
        seen = said["distributions"][kind.distribution]
        if seen is None:
            return (
                None,
                f"no distribution {kind.distribution!r} for {deployment.python} of deployment {deployment.name}",
            )
        return Component(
            name=kind.name, version=seen["version"], provider=deployment.kind, location=seen["location"]
        ), ""
    seen = said["commands"].get(kind.command)
    if seen is None:
        return None, f"no `{kind.command}` on PATH of deployment {deployment.name}"
    version = re.search(r"\d+\.\d+(?:\.\w+)*", seen["says"])
    # Such an environment hides nothing else of PATH: a command there is used and tested, and is not of the environment.
    outside = deployment.kind in ("venv", "conda") and not Path(seen["location"]).is_relative_to(said["prefix"])
    return Component(
        name=kind.name,
        version=version.group() if version else None,
        provider="path" if outside else deployment.kind,
        location=seen["location"],
    ), ""


def _mpi(seen: dict[str, str] | None) -> str | None:
    if seen is None:
        return None
    version = re.search(r"(?:Version:\s*|\)\s*)?(\d+\.\d+[\w.]*)", seen["says"])
    family = "Open MPI" if "Open MPI" in seen["says"] or "OpenRTE" in seen["says"] else "MPICH"
    family = family if family in seen["says"] or "HYDRA" in seen["says"] or family == "Open MPI" else "MPI"
    return f"{family} {version.group(1)} ({seen['location']})" if version else f"{family} ({seen['location']})"
