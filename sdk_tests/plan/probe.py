"""The probe of a deployment: its own interpreter reads its components from metadata, and describes the machine."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboard_client.schema import Component
from sdk_tests.deployments.deployment import Deployment, digest
from sdk_tests.errors import DeploymentError
from sdk_tests.model.output import telling_line
from sdk_tests.plan.components import ComponentKind

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
PROBE_LIMIT = 60.0
"""Seconds that the probe may take."""


@dataclass(frozen=True)
class DeploymentContents:
    """What a deployment contains.

    absent: the missing components, each with what was looked for and where. notes: what cannot be used, although it is
    present. programs: the paths of those programs, of
    all that cases need and the site file names, that are on its PATH.
    """

    components: dict[str, Component]
    absent: dict[str, str]
    digest: str
    python: str
    executable: str
    machine: str
    mpi: str | None
    modules: list[str]
    programs: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def probe(
    deployment: Deployment, kinds: Mapping[str, ComponentKind], programs: Iterable[str] = ()
) -> DeploymentContents:
    """Run the probe with the deployment's interpreter. programs: commands to look for on the PATH of the deployment.

    Raises:
        DeploymentError: the interpreter does not run, or does not answer in time.
    """
    request = {
        "distributions": [kind.distribution for kind in kinds.values() if kind.distribution],
        "commands": {kind.command: list(kind.version_args) for kind in kinds.values() if kind.command},
        "programs": sorted(set(programs)),
    }
    argv = deployment.wrap([deployment.python, str(PAYLOADS / "_probe.py"), json.dumps(request)])
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
        raise DeploymentError(
            f"deployment {deployment.name}: its interpreter {deployment.python} does not answer: {error}"
        ) from error
    try:
        answer: dict[str, Any] = json.loads(done.stdout.strip().rpartition(b"\n")[2])  # a start file may print before
    except ValueError as error:
        reason = telling_line(done.stderr.decode(errors="replace")) or f"exit code {done.returncode} without a message"
        raise DeploymentError(
            f"deployment {deployment.name}: {deployment.python} cannot list its packages: {reason}. It must run "
            "`import site, json` without an error: look at sitecustomize.py and the .pth files of the deployment"
        ) from error
    components, absent = {}, {}
    for name, kind in kinds.items():
        component, reason = _component(kind, answer, deployment)
        if component is None:
            left_out = deployment.left_out.get(name)
            absent[name] = f"left out of deployment {deployment.name}: {left_out}" if left_out else reason
        else:
            components[name] = component
    commands = {name: command["version_output"] for name, command in answer["commands"].items() if command}
    return DeploymentContents(
        components=components,
        absent=absent,
        digest=deployment.digest or digest(deployment.kind, answer["python"], answer["all_distributions"], commands),
        python=answer["python"],
        executable=answer["executable"],
        machine=answer["machine"],
        mpi=_mpi(answer["mpi"]),
        modules=answer["modules"],
        programs=answer["programs"],
        notes=(answer["bindings_problem"],) if answer["bindings_problem"] else (),
    )


def _component(kind: ComponentKind, answer: dict[str, Any], deployment: Deployment) -> tuple[Component | None, str]:
    if kind.distribution:
        distribution = answer["distributions"][kind.distribution]
        if distribution is None:
            return (
                None,
                f"no distribution {kind.distribution!r} for {deployment.python} of deployment {deployment.name}",
            )
        if not deployment.holds(distribution["location"]):
            return None, (
                f"{kind.distribution} {distribution['version']} is in {distribution['location']}, which is not part of "
                f"deployment {deployment.name} ({', '.join(deployment.prefixes or ())})"
            )
        return Component(
            name=kind.name, version=distribution["version"], provider=deployment.kind, location=distribution["location"]
        ), ""
    command = answer["commands"].get(kind.command)
    if command is None:
        return None, f"no `{kind.command}` on PATH of deployment {deployment.name}"
    version = re.search(r"\d+\.\d+(?:\.\w+)*", command["version_output"])
    # A deployment does not hide the rest of PATH: a command outside of it is tested as well, and its provider is
    # recorded as PATH.
    outside = not deployment.holds(command["location"])
    return Component(
        name=kind.name,
        version=version.group() if version else None,
        provider="path" if outside else deployment.kind,
        location=command["location"],
    ), ""


def _mpi(launcher: dict[str, str] | None) -> str | None:
    if launcher is None:
        return None
    output = launcher["version_output"]
    version = re.search(r"(?:Version:\s*|\)\s*)?(\d+\.\d+[\w.]*)", output)
    family = "Open MPI" if "Open MPI" in output or "OpenRTE" in output else "MPICH"
    family = family if family in output or "HYDRA" in output or family == "Open MPI" else "MPI"
    return f"{family} {version.group(1)} ({launcher['location']})" if version else f"{family} ({launcher['location']})"
