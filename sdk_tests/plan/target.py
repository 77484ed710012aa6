"""A target: one of the deployments that a run tests, with its contents.

The cases of the first deployment have plain ids. Those of each other one end in ``/in:LABEL``, so that a case counts
once for each deployment, and has a history of its own in each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_tests.deployments.deployment import Deployment
from sdk_tests.errors import PlanError
from sdk_tests.plan.preflight import Preflight
from sdk_tests.plan.probe import DeploymentContents

if TYPE_CHECKING:
    from exaworks_sdk.release import Release

SEPARATOR = "@"
"""Stands before a label in the names of what exists once for each deployment: nested schedulers, preflights."""


@dataclass
class Target:
    """A deployment of a run. label: empty for the first one. preflight: of this machine; None until it is started."""

    label: str
    deployment: Deployment
    contents: DeploymentContents
    release: Release | None = None
    preflight: Preflight | None = None

    def own(self, name: str) -> str:
        """Return the name of something that this deployment has and each other one too."""
        return f"{name}{SEPARATOR}{self.label}" if self.label else name


def shared(name: str) -> str:
    """Return a name without the label of a deployment, as people read it."""
    return name.partition(SEPARATOR)[0]


def owner(name: str) -> str:
    """Return the label in a name; empty if it belongs to the first deployment, or to all."""
    return name.partition(SEPARATOR)[2]


def labels(texts: Sequence[str], of_site: Sequence[str] = ()) -> list[str]:
    """Return the label of each named deployment.

    of_site: the deployments of the site file. Whoever tests only some of them gets the labels that all of them have in
    a run together, so that the history of a case continues.

    Raises:
        PlanError: a deployment is named twice.
    """
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise PlanError(f"--deployment {twice[0]}: named twice; name each deployment once")
    every = list(of_site) if set(texts) <= set(of_site) else list(texts)
    kinds = [text.partition(":")[0] for text in every]
    known: dict[str, str] = {every[0]: ""}
    for text, kind in zip(every[1:], kinds[1:], strict=True):
        label = kind if kinds.count(kind) == 1 else _word(text)
        while label in known.values():
            label += "-again"
        known[text] = label
    return [known[text] for text in texts]


def _word(text: str) -> str:
    """Return kind and last part of a deployment's name as a word of a case id; a whole path would leave the machine."""
    kind, _, name = text.partition(":")
    last = name.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._]+", "-", f"{kind}-{last}").strip("-")[:60].strip("-")
