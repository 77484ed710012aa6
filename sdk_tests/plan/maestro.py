"""Maestro (maestrowf), which is not part of the release: an example of a component that another package adds.

It consists of this kind, a line in the entry point group ``exaworks.components``, its payloads and its cases.
"""

from __future__ import annotations

from sdk_tests.plan.components import ComponentKind

MAESTRO = ComponentKind("maestro", distribution="maestrowf", preflight="maestro/_preflight.py", logs="maestro/_logs.py")
