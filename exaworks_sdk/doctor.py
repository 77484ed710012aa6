"""``exaworks doctor``: what this machine lacks for each step, and the distribution's own line that installs it.

The ``exaworks`` script also runs this before anything is installed, so only the standard library is imported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from exaworks_sdk.distribution import install_line, package_manager
from exaworks_sdk.doctor_needs import STEPS, Need, Step


@dataclass(frozen=True)
class Finding:
    """What was found out about one need. lack: what is missing; None if nothing is. detail: what is there."""

    need: Need
    lack: str | None
    detail: str


@dataclass(frozen=True)
class Diagnosis:
    """What was found out about one step."""

    step: Step
    findings: tuple[Finding, ...]

    @property
    def missing(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.lack is not None]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing that the step cannot do without."""
        return not any(finding.need.required for finding in self.missing)


def examine(names: Sequence[str]) -> list[Diagnosis]:
    """Look for what the named steps need; for all steps, if none is named."""
    diagnoses = []
    for step in STEPS:
        if not names or step.name in names:
            findings = []
            for need in step.needs:
                lack, detail = need.check()
                findings.append(Finding(need, lack, detail))
            diagnoses.append(Diagnosis(step, tuple(findings)))
    return diagnoses


def lines(diagnoses: Sequence[Diagnosis], manager: str | None) -> Iterator[str]:
    """Yield the text for people."""
    for diagnosis in diagnoses:
        step = diagnosis.step
        yield f"{step.name}: {'ready' if diagnosis.ready else 'not ready'}   ({step.command}: {step.what})"
        present = [finding.detail for finding in diagnosis.findings if finding.lack is None and finding.detail]
        if present:
            yield f"  here      {', '.join(present)}"
        for finding in diagnosis.missing:
            yield f"  {'missing' if finding.need.required else 'without':<9} {finding.lack}: {finding.need.why}"
        packages = [name for finding in diagnosis.missing for name in finding.need.packages.get(manager or "", ())]
        if manager is not None and packages:
            yield f"  install   {install_line(manager, packages)}"


def as_json(diagnoses: Sequence[Diagnosis], manager: str | None) -> list[dict[str, Any]]:
    """Return the same for programs: steps with ``name``, ``command``, ``ready``, ``here`` and ``missing``."""
    return [
        {
            "name": diagnosis.step.name,
            "command": diagnosis.step.command,
            "ready": diagnosis.ready,
            "here": [finding.detail for finding in diagnosis.findings if finding.lack is None and finding.detail],
            "missing": [
                {
                    "what": finding.lack,
                    "why": finding.need.why,
                    "required": finding.need.required,
                    "packages": list(finding.need.packages.get(manager or "", ())),
                }
                for finding in diagnosis.missing
            ],
        }
        for diagnosis in diagnoses
    ]


def run(names: Sequence[str], *, json_output: bool) -> tuple[str, int]:
    """Return the output and the exit code: 0 if the named steps, or else ``validate``, are ready, otherwise 1."""
    manager = package_manager()
    diagnoses = examine(names)
    text = json.dumps(as_json(diagnoses, manager), indent=1) if json_output else "\n".join(lines(diagnoses, manager))
    asked = [each for each in diagnoses if each.step.name in (names or ("validate",))]
    return text, 0 if all(each.ready for each in asked) else 1


def main() -> int:
    """Run the command without any installed package, for the ``exaworks`` script; return its exit code."""
    parser = argparse.ArgumentParser(prog="exaworks doctor", description="Show what this machine lacks for each step.")
    parser.add_argument("steps", nargs="*", choices=[*(step.name for step in STEPS), []], metavar="STEP")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    text, code = run(given.steps, json_output=given.json)
    print(text, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
