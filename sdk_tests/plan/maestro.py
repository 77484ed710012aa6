"""Maestro (maestrowf): no part of the release, joined to the harness as a package of anybody's would join.

All there is of it: this kind, its line under the entry point group ``exaworks.components``, the payloads and the cases.
"""

from __future__ import annotations

from sdk_tests.plan.components import ComponentKind

MAESTRO = ComponentKind("maestro", distribution="maestrowf")
