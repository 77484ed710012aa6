"""GitLab's own JSON Schema of a pipeline, from the package check-jsonschema."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML


@cache
def validator() -> Any:
    from jsonschema.validators import validator_for

    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/gitlab-ci.json").read_bytes())
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def invalid(text: str) -> list[str]:
    """Return the violations of GitLab's schema in the text of a pipeline file."""
    return violations(YAML(typ="safe", pure=True).load(text))


def violations(tree: Any) -> list[str]:
    """Return the violations of GitLab's schema in a pipeline that was read."""
    return [f"{error.json_path}: {error.message[:200]}" for error in validator().iter_errors(tree)]
