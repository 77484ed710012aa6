"""The exit codes of a run, and those of every other command."""

from __future__ import annotations

from docs_site.text import table
from sdk_tests.report import EXIT_CODES


def page() -> str:
    runs = table(("code", "means"), [(str(number), text) for number, text in EXIT_CODES.items()])
    return f"""\
# Exit codes

## Of a run

`exaworks validate`, `exaworks rehearse` and pytest with the harness's cases:

{runs}

The code is computed from the manifest and the records, and is also in `manifest.json`: a program that runs the harness
may replace an exit code. See [Verdicts](../architecture.md#verdicts).

## Of other commands

| code | means |
|---|---|
| 0 | done |
| 1 | done, and what was checked or compared is not as it should be, such as a failed test of `exaworks selftest` |
| 2 | wrong usage or configuration, or a file that cannot be used: one message states what, where and what to do |
| 130 | interrupted |

The page of a [command](commands/index.md) states codes that differ.
"""
