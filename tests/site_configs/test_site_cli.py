"""The command ``exaworks sites``, as users and pipelines run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from site_configs.cli import sites
from site_configs.load import PACKAGED, digest, find, load_file, site_files
from site_configs.schema import json_schema


@pytest.fixture(autouse=True)
def _no_other_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXAWORKS_SITES", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(sites, list(arguments), catch_exceptions=False)


def test_list_names_every_packaged_system() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert "local/workstation" in result.output
    rows = json.loads(run("list", "--json").output)
    assert [row["system"] for row in rows] == sorted(site_files())


def test_show_prints_a_site_file_that_loads_with_the_same_values(tmp_path: Path) -> None:
    shown = run("show", "local/workstation")
    assert shown.exit_code == 0
    copy = tmp_path / "copy.yaml"
    copy.write_text(shown.output)
    assert load_file(copy) == find("local/workstation")


def test_show_as_json_carries_the_digest_of_the_records() -> None:
    values = json.loads(run("show", "local/workstation", "--json").output)
    assert values["config_digest"] == digest(find("local/workstation"))
    assert values["limits"]["queue_wait"] == "00:10:00"


def test_show_of_an_unknown_system_exits_2_with_a_hint() -> None:
    result = run("show", "local/workstaton")
    assert result.exit_code == 2
    assert "did you mean 'local/workstation'?" in result.output


def test_check_accepts_every_packaged_file() -> None:
    result = run("check")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == len(list(PACKAGED.glob("*/*.yaml")))


def test_check_exits_2_if_one_file_is_wrong_and_still_checks_the_others(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("system: lab/good\ndescription: right\n")
    bad.write_text("system: lab/bad\ndescription: wrong\naccount: abc\n")
    result = run("check", str(bad), str(good))
    assert result.exit_code == 2
    assert f"{bad}:3: account: accounts are never in the file" in result.output
    assert f"{good}: ok, lab/good" in result.output
    rows = json.loads(run("check", str(bad), str(good), "--json").output)
    assert [row["system"] for row in rows] == [None, "lab/good"]


def test_detect_names_the_system_and_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab").mkdir()
    file = tmp_path / "lab/here.yaml"
    file.write_text("system: lab/here\ndescription: x\ndetect: {environment: {LAB_HERE: '*'}}\n")
    monkeypatch.setenv("EXAWORKS_SITES", str(tmp_path))
    monkeypatch.setenv("LAB_HERE", "1")
    assert json.loads(run("detect", "--json").output) == {"system": "lab/here", "file": str(file)}
    assert run("detect").output.startswith("lab/here")


def test_detect_with_an_unknown_slurm_exits_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\necho 'debug*|up|30:00|1-4|16|128|257000|(null)|NO'\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("detect")
    assert result.exit_code == 2
    assert "exaworks sites new" in result.output


def test_a_new_file_passes_check_and_is_never_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    assert run("new", "--name", "lab/mine", "--to", str(target)).exit_code == 0
    assert run("check", str(target)).output == f"{target}: ok, lab/mine\n"
    before = target.read_bytes()
    again = run("new", "--name", "lab/other", "--to", str(target))
    assert again.exit_code == 2
    assert "exists and was not changed" in again.output
    assert target.read_bytes() == before


def test_new_without_a_target_prints_the_draft(tmp_path: Path) -> None:
    result = run("new", "--name", "lab/mine")
    copy = tmp_path / "copy.yaml"
    copy.write_text(result.stdout)
    assert load_file(copy).system == "lab/mine"


def test_every_command_has_help_with_examples() -> None:
    for name in ("list", "show", "check", "detect", "schema", "new", "refresh"):
        assert "Examples:" in run(name, "--help").output
    assert "Examples:" in run("--help").output


def test_the_schema_states_the_limits_and_forbids_unknown_keys() -> None:
    schema = json.loads(run("schema").output)
    assert schema == json_schema()
    definitions = schema["$defs"]
    assert definitions["System"]["required"] == ["system", "description"]
    closed = {name for name, definition in definitions.items() if definition.get("type") == "object"}
    assert all(definitions[name]["additionalProperties"] is False for name in closed)
    assert definitions["SchedulerSpec"]["properties"]["max_jobs"]["minimum"] == 1
    assert definitions["SchedulerSpec"]["properties"]["status_interval"]["exclusiveMinimum"] == 0


def test_the_published_schema_accepts_every_packaged_file_and_refuses_a_wrong_one() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from site_configs.document import read

    validator = jsonschema.Draft202012Validator(json_schema())
    jsonschema.Draft202012Validator.check_schema(json_schema())
    for path in site_files().values():
        assert list(validator.iter_errors(read(path.read_text()).values)) == []
    wrong = {"system": "lab/x", "description": "x", "schedulers": [{"kind": "slurm", "max_jobs": 0, "acount_env": "A"}]}
    assert len(list(validator.iter_errors(wrong))) == 2
