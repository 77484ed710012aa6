"""``exaworks validate`` without a usable standard output or without readable cases: no failure goes unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard_client.runs import RunFolder
from sdk_tests.cli.validation import INTEGRATION
from tests.sdk_tests.bench import ROOT, SITE

PROGRAM = """
import pathlib, sys
from sdk_tests.cli import validation
from exaworks_sdk.cli import main
validation.INTEGRATION = pathlib.Path(sys.argv[1])
main(["validate", *sys.argv[2:]], prog_name="exaworks")
"""


def validate(folder: Path, *arguments: str, cases: Path = INTEGRATION, redirect: str = "") -> tuple[int, str, str]:
    """Run the cases of a folder in a shell; return exit code, standard output and standard error."""
    site = folder / "site.yaml"
    site.write_text(SITE.replace("DEPLOYMENT", f"venv:{sys.prefix}").replace("RETRIES", "0"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV"))}
    fixed = ("--site", "test/box", "--site-file", str(site), "--no-upload")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, "-c", PROGRAM, str(cases), *fixed, *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), "EXAWORKS_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


CONTROL = ("--case", "control/hello@local")


def test_a_summary_that_cannot_be_written_is_a_warning_and_the_exit_code_stays(tmp_path: Path) -> None:
    code, _, stderr = validate(tmp_path, *CONTROL, redirect=">/dev/full")
    assert code == 0, stderr
    assert "the summary could not be written: No space left on device; the results are in" in stderr


def test_json_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    code, _, stderr = validate(tmp_path, *CONTROL, "--json", redirect=">/dev/full")
    assert code == 2
    assert "Error: the summary could not be written: No space left on device" in stderr
    assert "Traceback" not in stderr


def test_quiet_prints_the_verdict_alone(tmp_path: Path) -> None:
    code, stdout, stderr = validate(tmp_path, *CONTROL, "-q")
    assert (code, stdout, stderr) == (0, "Passed: 1 case passed and none failed\n", "")


def test_verbose_prints_a_line_for_each_record_and_the_detailed_report(tmp_path: Path) -> None:
    code, stdout, _ = validate(tmp_path, *CONTROL, "-v")
    assert code == 0
    assert "1 case planned, 0 decided without a run, 1 to run" in stdout
    assert "[1/1] pass  control/hello@local (run " in stdout
    assert "Exit code 0: every planned case passed" in stdout


def test_verbose_and_quiet_exclude_each_other(tmp_path: Path) -> None:
    code, _, stderr = validate(tmp_path, *CONTROL, "-q", "-v")
    assert code == 2
    assert "give one of them" in stderr


@pytest.mark.parametrize("redirect", [">&-", ">&- 2>&-"])
def test_a_run_without_standard_output_has_a_verdict(tmp_path: Path, redirect: str) -> None:
    assert validate(tmp_path, *CONTROL, redirect=redirect) == (0, "", "")
    closed = RunFolder.open("last", tmp_path / "home" / "runs").manifest.closed
    assert closed is not None
    assert (closed.exit_code, closed.counts["pass"]) == (0, 1)


@pytest.mark.parametrize("option", ["--list", "--json"])
def test_cases_that_cannot_be_imported_are_named_and_nothing_is_run(tmp_path: Path, option: str) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    (cases / "test_whole.py").write_text((INTEGRATION / "test_control.py").read_text())
    (cases / "test_broken.py").write_text("import a_module_that_was_not_packaged\n")
    code, stdout, stderr = validate(tmp_path, option, cases=cases)
    assert code == 2
    assert "control/hello" not in stdout
    assert "test_broken.py" in stderr
    assert "a_module_that_was_not_packaged" in stderr
    assert "nothing was run" in stderr
    assert not list((tmp_path / "home").glob("runs/*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize(
    ("pages", "expected", "message"),
    [
        (1, 2, "Error: {runs}"),
        (2, 2, "make room and run `exaworks validate --resume last`"),
    ],
)
def test_a_full_disk_is_a_sentence_that_names_the_folder(
    tmp_path: Path, pages: int, expected: int, message: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    size = pages * os.sysconf("SC_PAGE_SIZE")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(home)], check=True)
    try:
        code, stdout, stderr = validate(tmp_path, *CONTROL)
        report = next((home / "runs").glob("*/report.html"), None)
    finally:
        subprocess.run(["umount", str(home)], check=True)
    output = stdout + stderr
    assert code == expected, output
    assert message.format(runs=home / "runs") in output
    assert "No space left on device" in output
    assert "INTERNALERROR" not in output
    assert "Traceback" not in output
    assert report is None
    assert "report.html" not in output
