"""What is under test and how it is activated; nothing of it ever enters the harness's own environment.

One module a kind: ``venv``, ``spack``, ``module``, ``conda``, ``image`` and ``path``, each with a function that turns a
name into a ``Deployment``. Adding a kind is one new file and one line under the entry point group
``exaworks.deployments``. Of the project, this package may import only ``sdk_tests.errors`` and ``sdk_tests.model``.
"""

from __future__ import annotations

from sdk_tests.deployments.deployment import Deployment, base_environ
from sdk_tests.deployments.registry import resolve

__all__ = ["Deployment", "base_environ", "resolve"]
