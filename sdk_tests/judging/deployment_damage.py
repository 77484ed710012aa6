"""Whether the deployment of a failed case is still what was installed: evidence that a failure is not the component's.

It is looked for only after a failure, once for each set of components. A file that is missing or is not the one that
was installed, and a package of a version that another one does not accept, are faults of the distribution.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from packaging.requirements import InvalidRequirement, Requirement  # a requirement of pytest

from dashboard_client.schema import CauseClass, Diagnosis, Outcome
from sdk_tests.deployments import Deployment
from sdk_tests.diagnosis.rule import cause_key
from sdk_tests.diagnosis.rules import OWN
from sdk_tests.model.attempt import Judgement
from sdk_tests.plan.components import ComponentKind
from sdk_tests.plan.probe import PAYLOADS

LIMIT = 60.0
"""Seconds that reading the deployment's files may take."""
VAGUE = (CauseClass.COMPONENT, CauseClass.UNKNOWN, CauseClass.HARNESS, CauseClass.DISTRIBUTION)
"""Fault classes that damage explains: the evidence of the others is about something else."""
DECIDED = (
    "interrupted",
    "harness-error",
    "judge-raised",
    "machine-overloaded",
    "supervisor-gone",
    "promised-absent",
    "version-mismatch",
)
"""Rules whose reason is known, whatever the deployment is like."""
SHOWN = 3
"""Defects that are shown; the number of the others follows."""


@dataclass(frozen=True)
class Damage:
    """rule: ``damaged-file`` or ``other-dependency``. text: one line for people."""

    rule: str
    text: str


class DeploymentDamage:
    """What is wrong with the deployment's files, found out when it is first asked for."""

    def __init__(self, deployment: Deployment, kinds: Mapping[str, ComponentKind]) -> None:
        self._deployment, self._kinds = deployment, kinds
        self._known: dict[frozenset[str], Damage | None] = {}

    def explain(self, judgement: Judgement, components: Iterable[str]) -> Judgement:
        """Return a failure with the deployment's damage as its cause, if it has none that is more certain."""
        cause = judgement.cause
        if judgement.outcome not in (Outcome.FAIL, Outcome.ERROR) or cause.rule in DECIDED:
            return judgement
        if cause.cls not in VAGUE:
            return judgement
        damage = self.of(components)
        if damage is None:
            return judgement
        evidence = f"{damage.text}; the case: {cause.evidence}"
        title, advice = OWN[damage.rule]
        key = cause_key(damage.rule, [damage.text])
        given = judgement.diagnosis or Diagnosis(title=title, cause_key=key)
        diagnosis = msgspec.structs.replace(
            given,
            title=f"{title}: {damage.text}",
            cause_key=key,
            advice=advice,
            line=damage.text,
            source=None,
            blocked_by=key if given.blocked_by else None,
        )
        changed = msgspec.structs.replace(cause, cls=CauseClass.DISTRIBUTION, rule=damage.rule, evidence=evidence)
        return Judgement(Outcome.FAIL, changed, diagnosis)

    def of(self, components: Iterable[str]) -> Damage | None:
        """Return the damage of the packages of these components and of all that they require."""
        names = frozenset(
            kind.distribution for name in components if (kind := self._kinds.get(name)) and kind.distribution
        )
        if not names:
            return None
        if names not in self._known:
            self._known[names] = damage(self._read(names), self._deployment.kind)
        return self._known[names]

    def _read(self, names: Iterable[str]) -> list[dict[str, Any]]:
        request = json.dumps({"distributions": sorted(names)})
        argv = self._deployment.wrap([self._deployment.python, str(PAYLOADS / "_damage.py"), request])
        try:
            done = subprocess.run(
                argv,
                env=dict(self._deployment.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LIMIT,
                check=False,
                cwd="/",
            )
            packages: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
        except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
            return []  # it cannot be read, so nothing is known about it
        return packages


def damage(packages: Iterable[Mapping[str, Any]], deployment_kind: str) -> Damage | None:
    """Return what is wrong with packages as ``payloads/_damage.py`` describes them: files first, then versions."""
    listed = list(packages)
    defects = [
        f"{path} of {each['name']} {each['version']} {defect}"
        for each in listed
        for path, defect in each["damaged"]
        if _counts(path, defect, deployment_kind)
    ]
    versions = {_key(each["name"]): each["version"] for each in listed}
    conflicts = [
        f"{each['name']} {each['version']} requires {unmet}"
        for each in listed
        for text in each["requires"]
        if (unmet := _unmet(text, versions))
    ]
    shown = [*defects[:SHOWN], *([f"{len(defects) - SHOWN} more files"] if len(defects) > SHOWN else []), *conflicts]
    if not shown:
        return None
    return Damage("damaged-file" if defects else "other-dependency", "; ".join(shown))


def _counts(path: str, defect: str, deployment_kind: str) -> bool:
    """Return whether a difference is damage: only pip leaves all files as the package has them.

    Spack and conda write their prefix into scripts and shared objects after the package was built.
    """
    if deployment_kind == "venv" or defect == "is missing" or defect.startswith("has 0 bytes"):
        return True
    return path.endswith(".py") and not path.startswith("bin/")


def _unmet(text: str, versions: Mapping[str, str]) -> str | None:
    """Return a requirement that no installed package meets, and what is installed; None if it is met."""
    try:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            return None
        version = versions.get(_key(requirement.name))
        if version is None:
            return f"{text}, which is not installed"
        if requirement.specifier.contains(version, prereleases=True):
            return None
    except (InvalidRequirement, ValueError):
        return None
    return f"{requirement.name}{requirement.specifier}, but {version} is installed"


def _key(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
