"""Runs in odd environments: paths, encodings, variables of the caller, a working directory that was deleted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exaworks_sdk.paths import Places
from sdk_tests.plan.options import Options
from sdk_tests.plan.prepare import prepare
from tests.sdk_tests.bench import Bench

SEEN = """
    import json, os, sys
    request = json.loads(sys.argv[1])
    names = [name for name in os.environ if name.startswith("PYTHON")]
    print(json.dumps({"scratch": request["scratch"], "python": sorted(names), "foo": ascii(os.environ.get("FOO"))}))
"""


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Bench]:
    folder = tmp_path / 'it is %j 50% "q" $HOME café'
    folder.mkdir()
    bench = Bench(folder)
    yield bench
    bench.close()


def test_a_path_with_spaces_quotes_and_percent_signs_reaches_no_component(odd: Bench) -> None:
    case_id = odd.case("looks", SEEN, body="assert ' ' not in outcome.answer['scratch'], outcome.answer")
    result = odd.run()
    assert result.verdict(case_id) == ("pass",), result.output
    assert result.folder is not None
    assert [path.name for path in (result.folder.private / "work").iterdir()] == ["000-python-looks-local-1"]
    assert not [*Path(tempfile.gettempdir()).glob(f"exaworks-*/{result.folder.path.name}")]


@pytest.mark.needs("slurm", "munge")
def test_such_a_path_works_through_slurm_too(odd: Bench) -> None:
    odd.site_additions = "testbeds: [slurm]\n"
    odd.case("shares", SEEN, where="allocation")
    odd.case("alone", SEEN, where="job")
    result = odd.run("--scheduler", "slurm")
    assert result.verdict("python/shares@slurm") == ("pass",), result.output
    assert result.verdict("python/alone@slurm") == ("pass",), result.output


def test_a_variable_that_is_not_utf_8_reaches_the_payload_and_stops_nothing(bench: Bench) -> None:
    case_id = bench.case("looks", SEEN, body=r"assert outcome.answer['foo'] == repr('caf\udce9'), outcome.answer")
    result = bench.run(FOO=os.fsdecode(b"caf\xe9"), HOME=os.fsdecode(b"/tmp/caf\xe9"))
    assert result.verdict(case_id) == ("pass",), result.output


def test_a_failure_whose_evidence_is_not_utf_8_has_a_record(bench: Bench) -> None:
    source = r"""
        import os, sys
        os.write(2, b"ValueError: caf\xe9\n")
        sys.exit(3)
    """
    case_id = bench.case("fails", source)
    result = bench.run()
    assert result.verdict(case_id) == ("fail", "component", "payload-failed"), result.output


def test_no_variable_of_the_callers_python_reaches_a_payload(bench: Bench) -> None:
    case_id = bench.case("looks", SEEN, body="assert outcome.answer['python'] == ['PYTHONNOUSERSITE'], outcome.answer")
    result = bench.run(PYTHONSTARTUP="/stray", PYTHONUSERBASE="/stray", PYTHONDONTWRITEBYTECODE="1")
    assert result.verdict(case_id) == ("pass",), result.output


def test_a_working_directory_that_was_deleted_is_no_obstacle(bench: Bench, tmp_path: Path) -> None:
    bench.command()  # writes the site file
    gone = tmp_path / "gone"
    gone.mkdir()
    validate = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", str(bench.folder / "site.yaml")]
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(gone), *validate, "--no-upload", "--case", "control/*"],
        env=bench.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    result = bench.result(done.returncode, done.stdout + done.stderr)
    assert result.verdict("control/hello@local") == ("pass",), result.output


def test_a_user_without_an_entry_in_passwd_and_without_home_gets_one(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    bench.command()
    monkeypatch.setattr("pwd.getpwuid", unknown)
    messages: list[str] = []
    options = Options(site_file=bench.folder / "site.yaml")
    environ = {"PATH": os.environ["PATH"]}
    preparation = prepare(options, Places(home=tmp_path, checkout=None), messages.append, environ)
    preparation.close()
    assert preparation.targets[0].deployment.environ["HOME"] == str(tmp_path)
    assert any("is not set" in message and "HOME" in message for message in messages)
