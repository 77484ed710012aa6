"""The first page of the reference."""

from __future__ import annotations


def page() -> str:
    return """\
# Reference

These pages are generated from the code of this version when the site is built.

- [Commands](commands/index.md): every command with its options and examples, as `--help` and `man exaworks` show them
- [Site file](site-file.md): every field of a machine's description, with its type, default and limits
- [Record and manifest](record.md): what a run writes, sends and keeps
- [HTTP interface](http.md) of the collector
- [Interface for cases](cases.md): what the authors of cases import
- [Exit codes](exit-codes.md) and [environment variables](variables.md)
- [Rules of diagnosis](rules.md): the messages that the harness knows, and whose fault each is
- [Matrix of cases](../matrix.md), [releases](../releases/index.md) and [glossary](../glossary.md)

For programs: [JSON Schema of a site file](site.schema.json), [of a record](record.schema.json),
[of a manifest](manifest.schema.json), [OpenAPI document](openapi.json).
"""
