"""Whether the terms of a licence extend to programs that use the package, from its SPDX expression."""

from __future__ import annotations

import re

_STRONG = re.compile(r"(?<!L)A?GPL-|OSL-|EUPL-|Sleepycat")
"""Licences with strong copyleft: GPL and AGPL, and others of their kind; not LGPL."""
_EXCEPTION = re.compile(r"(?<!L)GPL-\S+ WITH \S+")
"""With an exception, such as that of GCC's runtime libraries, the terms do not extend to programs that use it."""


def is_strong_copyleft(expression: str) -> bool:
    """Return whether no alternative of an expression is without strong copyleft.

    A commercial licence (``LicenseRef-…``) is no alternative, because its authors grant it on request only. An
    expression with parentheses is not taken apart: any strong part counts.
    """
    alternatives = [expression] if "(" in expression else expression.split(" OR ")
    offered = [each for each in alternatives if not each.strip().startswith("LicenseRef-")]
    return bool(offered) and all(_STRONG.search(_EXCEPTION.sub("", each)) for each in offered)
