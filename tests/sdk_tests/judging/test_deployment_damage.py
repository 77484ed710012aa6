"""Damage of a deployment: its files and requirements, compared with what was installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase
from sdk_tests.judging.deployment_damage import Damage, DeploymentDamage, damage
from sdk_tests.model.attempt import Judgement
from sdk_tests.plan.probe import PAYLOADS

PACKAGE = "iniconfig"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder with a copy of one installed package."""
    dist = metadata.distribution(PACKAGE)
    for folder in {file.parts[0] for file in dist.files or () if file.parts[0] not in ("..", "__pycache__")}:
        shutil.copytree(str(dist.locate_file(folder)), tmp_path / folder)
    return tmp_path


def read(folder: Path) -> list[dict[str, Any]]:
    argv = [sys.executable, str(PAYLOADS / "_damage.py"), json.dumps({"distributions": [PACKAGE]})]
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(argv, env=environ, capture_output=True, check=True, text=True)
    packages: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return packages


def test_a_package_as_it_was_installed_has_no_damage(installed: Path) -> None:
    assert damage(read(installed), "venv") is None


@pytest.mark.parametrize(
    ("change", "defect"),
    [
        (lambda path: path.write_bytes(b""), "has 0 bytes"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "has 100 bytes"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"i", b"j")), "is not the file that was installed"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: (path.unlink(), path.symlink_to("/nowhere")), "is missing"),
    ],
)
def test_a_file_that_is_not_what_was_installed_is_named(
    installed: Path, change: Callable[[Path], object], defect: str
) -> None:
    change(installed / PACKAGE / "exceptions.py")
    found = damage(read(installed), "venv")
    assert found is not None
    assert found.rule == "damaged-file"
    assert found.text.startswith(f"{PACKAGE}/exceptions.py of {PACKAGE} {metadata.version(PACKAGE)} {defect}")


def test_a_damaged_list_of_files_does_not_hide_what_it_still_states(installed: Path) -> None:
    (record,) = installed.glob("*.dist-info/RECORD")
    record.write_text(f"{PACKAGE}/half\n\n{PACKAGE}/x.py,sha256=AAAA,many,more\n{record.read_text()}")
    (installed / PACKAGE / "exceptions.py").unlink()
    (found,) = read(installed)
    assert [each[0] for each in found["damaged"]] == [f"{PACKAGE}/x.py", f"{PACKAGE}/exceptions.py"]


def package(name: str, version: str, *requires: str, damaged: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    return {"name": name, "version": version, "requires": list(requires), "damaged": [list(each) for each in damaged]}


@pytest.mark.parametrize(
    ("packages", "kind", "expected"),
    [
        ([package("a", "1", "b>=2"), package("b", "2.1")], "venv", None),
        ([package("a", "1", "B_x.y >=2"), package("b-x-y", "2.0rc1")], "venv", "a 1 requires B_x.y>=2, but 2.0rc1 "),
        ([package("a", "1", "b<2"), package("b", "2.1")], "venv", "a 1 requires b<2, but 2.1 is installed"),
        ([package("a", "1", "b")], "venv", "a 1 requires b, which is not installed"),
        ([package("a", "1", 'b; sys_platform == "win32"')], "venv", None),
        ([package("a", "1", "not a requirement !")], "venv", None),
        ([package("a", "1", damaged=(("bin/a", "has 9 bytes, 8 were installed"),))], "spack", None),
        ([package("a", "1", damaged=(("a/x.so", "is not the file that was installed"),))], "conda", None),
        ([package("a", "1", damaged=(("bin/a", "has 9 bytes, 8 were installed"),))], "venv", "bin/a of a 1 has 9 "),
        ([package("a", "1", damaged=(("bin/a", "is missing"),))], "spack", "bin/a of a 1 is missing"),
        ([package("a", "1", damaged=(("a/x.so", "has 0 bytes, 8 were installed"),))], "spack", "a/x.so of a 1 has 0 "),
        ([package("a", "1", damaged=(("a/x.py", "has 9 bytes, 8 were installed"),))], "conda", "a/x.py of a 1 has 9 "),
        (
            [package("a", "1", damaged=tuple((f"a/{n}.py", "is missing") for n in range(9)))],
            "conda",
            "a/0.py of a 1 is missing; a/1.py of a 1 is missing; a/2.py of a 1 is missing; 6 more files",
        ),
    ],
)
def test_damage_is_one_line(packages: list[dict[str, Any]], kind: str, expected: str | None) -> None:
    found = damage(packages, kind)
    assert (found.text if found else None) == expected or (found and expected and found.text.startswith(expected))


class Known(DeploymentDamage):
    def __init__(self, found: Damage | None) -> None:
        self.found = found

    def of(self, components: Any) -> Damage | None:
        return self.found


def failed(cls: CauseClass, rule: str = "assertion", outcome: Outcome = Outcome.FAIL) -> Judgement:
    return Judgement(outcome, Cause(phase=Phase.JUDGE, cls=cls, rule=rule, evidence="it failed"))


@pytest.mark.parametrize("cls", [CauseClass.COMPONENT, CauseClass.UNKNOWN, CauseClass.HARNESS, CauseClass.DISTRIBUTION])
def test_damage_is_the_cause_of_a_failure_that_nothing_else_explains(cls: CauseClass) -> None:
    judgement = Known(Damage("damaged-file", "a.py of a 1 is missing")).explain(failed(cls), ["a"])
    cause, diagnosis = judgement.cause, judgement.diagnosis
    assert (judgement.outcome, cause.cls, cause.rule) == (Outcome.FAIL, CauseClass.DISTRIBUTION, "damaged-file")
    assert cause.evidence == "a.py of a 1 is missing; the case: it failed"
    assert diagnosis is not None
    assert diagnosis.advice
    assert diagnosis.cause_key.startswith("damaged-file:")


@pytest.mark.parametrize(
    "judgement",
    [
        failed(CauseClass.SITE, "disk-full", Outcome.INFRA),
        failed(CauseClass.SCHEDULER, "submit-refused", Outcome.INFRA),
        failed(CauseClass.HARNESS, "interrupted", Outcome.ERROR),
        failed(CauseClass.COMPONENT, "known-failure", Outcome.XFAIL),
        failed(CauseClass.DISTRIBUTION, "promised-absent"),
    ],
)
def test_damage_does_not_change_a_cause_that_is_known(judgement: Judgement) -> None:
    assert Known(Damage("damaged-file", "a.py of a 1 is missing")).explain(judgement, ["a"]) is judgement


def test_without_damage_a_failure_stays_as_it_is() -> None:
    judgement = failed(CauseClass.COMPONENT)
    assert Known(None).explain(judgement, ["a"]) is judgement
