"""GitHub's own JSON Schema of a workflow, from the package check-jsonschema, and actionlint."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.needs import need


@cache
def validator() -> Any:
    from jsonschema.validators import validator_for

    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/github-workflows.json").read_bytes())
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def invalid(text: str) -> list[str]:
    """Return the violations of GitHub's schema in the text of a workflow."""
    tree = YAML(typ="safe", pure=True).load(text)
    return [f"{error.json_path}: {error.message[:200]}" for error in validator().iter_errors(tree)]


def actionlint(text: str, labels: Path) -> str:
    """Return the findings of actionlint, which passes each script to shellcheck if that is installed.

    labels: its configuration file with the labels of one's own runners.
    """
    command = [need("actionlint"), "-no-color", "-config-file", str(labels), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout
