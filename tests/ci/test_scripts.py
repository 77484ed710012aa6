"""shellcheck accepts every generated shell line, and the cron script runs with an empty environment."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ci.cron import cron_script, entry, wants_scron, when
from ci.generate import all_files
from ci.root import root_yaml
from ci.system import system_yaml
from site_configs.load import find, load_text, systems
from site_configs.schema import seconds
from tests.ci.pipeline import BOX, EXAWORKS, LIMIT, ROOT, Project, collector
from tests.ci.test_generate import DEPLOYMENTS, JACAMAR, jobs_in
from tests.needs import need

SYSTEMS = [system for system in systems({}) if system.state.value == "active"]


def shellcheck(text: str) -> str:
    """Return the findings of shellcheck, without those about variables that the runner sets."""
    command = [need("shellcheck"), "--shell=sh", "--external-sources", "--exclude=SC2154", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout


def scripts_of(text: str) -> set[str]:
    """Return the scripts of all jobs in the text of a pipeline, each joined as the runner does it."""
    return scripts_in(YAML(typ="safe", pure=True).load(text))


def scripts_in(tree: Any) -> set[str]:
    """Return the scripts of all jobs in a pipeline that was read."""
    before = tree.get("default", {}).get("before_script", [])
    scripts = set()
    for job in jobs_in(tree).values():
        scripts.add("\n".join([*before, *job.get("script", [])]))
        scripts.add("\n".join(job.get("after_script", [])))
    return scripts


@pytest.mark.needs("shellcheck")
def test_shellcheck_finds_nothing_in_any_generated_job() -> None:
    texts = list(all_files(systems({})).values())
    texts += [system_yaml(SYSTEMS[0], deployment) for deployment in DEPLOYMENTS]
    texts += [root_yaml(SYSTEMS), system_yaml(load_text(JACAMAR.replace("KIND", "pbs"), "test"))]
    scripts = sorted(set().union(*(scripts_of(text) for text in texts)))
    functions = "\n".join(f"job{index}() {{\n:\n{text}\n}}" for index, text in enumerate(scripts))
    assert shellcheck(functions) == ""
    assert "SC2086" in shellcheck("rm $unquoted"), "shellcheck does not report a known mistake"


@pytest.mark.needs("shellcheck")
def test_shellcheck_finds_nothing_in_a_cron_script_or_in_the_snippets() -> None:
    system = load_text(BOX.replace("DEPLOYMENT", "release") + "cadence: 24:00:00\n", "test")
    assert shellcheck(cron_script(system, ROOT, tier="scale")) == ""
    for path in sorted((ROOT / "ci" / "scripts").glob("*.sh")):
        assert shellcheck(path.read_text()) == "", path


@pytest.mark.parametrize(
    "cadence, fields",
    [
        ("01:00:00", r"\d+ \* \* \* \*"),
        ("05:00:00", r"\d+ \*/4 \* \* \*"),
        ("12:00:00", r"\d+ \*/12 \* \* \*"),
        ("24:00:00", r"\d+ \d+ \* \* \*"),
        ("36:00:00", r"\d+ \d+ \* \* \*"),
        ("72:00:00", r"\d+ \d+ \* \* \d,\d,\d"),
        ("168:00:00", r"\d+ \d+ \* \* \d"),
        ("720:00:00", r"\d+ \d+ \* \* \d"),
    ],
)
def test_the_interval_of_the_entry_is_never_longer_than_a_cadence_of_up_to_a_week(cadence: str, fields: str) -> None:
    system = load_text(BOX.replace("DEPLOYMENT", "path") + f"cadence: {cadence}\n", "test")
    assert re.fullmatch(fields, when(system)), when(system)
    assert when(system) == when(system)
    assert seconds(cadence) > 0


def test_sites_do_not_all_start_in_the_same_minute() -> None:
    assert len({when(system).split()[0] for system in SYSTEMS if system.cadence}) > 1


def test_scrontab_gets_slurms_options_and_the_account_of_the_user() -> None:
    text = JACAMAR.replace("KIND", "slurm") + "extras: {scrontab: [--qos=cron]}\n"
    lines = entry(load_text(text, "test"), Path("/x/e.sh"), {"TEST_ACCOUNT": "m42"}, scron=True, tier="smoke")
    options = [line for line in lines.splitlines() if line.startswith("#SCRON ")]
    assert "#SCRON --account=m42" in options
    assert "#SCRON --qos=cron" in options
    assert any(re.fullmatch(r"#SCRON --time=\d\d:\d\d:00", option) for option in options)
    assert lines.splitlines()[-1].endswith(" /x/e.sh")


def test_the_scrontab_entry_of_perlmutter_has_the_options_of_its_site_file() -> None:
    system = find("nersc/perlmutter")
    lines = entry(system, Path("/x/e.sh"), {}, scron=wants_scron(system), tier="integration").splitlines()
    assert {"#SCRON --qos=workflow", "#SCRON --constraint=cron", "#SCRON --open-mode=append"} <= set(lines)


def test_a_path_with_a_percent_sign_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path, BOX + "cadence: 24:00:00\n")
    done = project.exaworks("ci", "cron", "--site", "test/box", "--to", str(tmp_path / "a%b.sh"))
    assert done.returncode == 2
    assert "must not contain % or spaces" in done.stderr


@pytest.fixture
def cron(tmp_path: Path) -> Any:
    """Return the project and a function that runs its cron script, with a program instead of the checkout's command."""
    project = Project(tmp_path, BOX + "cadence: 24:00:00\n")
    target = tmp_path / "cron.sh"
    done = project.exaworks("ci", "cron", "--site", "test/box", "--tier", "smoke", "--to", str(target))
    assert done.returncode == 0, done.stderr
    assert os.access(target, os.X_OK)
    text = target.read_text()
    command = shlex.quote(str(ROOT / "exaworks"))
    assert f"exaworks={command}\n" in text
    target.write_text(text.replace(command, shlex.quote(str(project.program))))
    settings = tmp_path / "ci.env"
    project.variables = {"EXAWORKS_CI_HOME": str(project.home), "EXAWORKS_SITES": str(project.sites)}

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        values = {**project.variables, **more}
        settings.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
        bare = ["env", "-i", f"EXAWORKS_CI_ENV={settings}", "/bin/sh", str(target)]
        return subprocess.run(bare, cwd="/", capture_output=True, text=True, check=False, timeout=LIMIT)

    return project, run


@pytest.mark.needs("components")
def test_the_cron_script_runs_with_an_empty_environment_delivers_and_prints_nothing(cron: Any, tmp_path: Path) -> None:
    project, run = cron
    tested = {"EXAWORKS_DEPLOYMENT": f"venv:{need('components')}", "EXAWORKS_CI_OPTIONS": "--case psij/hello*"}
    with collector(tmp_path / "collector") as server:
        done = run(EXAWORKS_COLLECTOR_URL=server.url, EXAWORKS_COLLECTOR_TOKEN=server.token, **tested)
        log = (project.home / "test-box" / "cron.log").read_text()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), log
        assert len(server.rows("SELECT 1 FROM runs")) == 2
    triggers = {json.loads((path / "manifest.json").read_bytes())["trigger"] for path in project.runs.iterdir()}
    assert triggers == {"nightly"}


def test_a_cron_run_in_which_only_the_control_case_passed_is_reported(cron: Any) -> None:
    """The PATH of the script has the system's Python and no component."""
    _, run = cron
    done = run()
    assert (done.returncode, "test/box: failed" in done.stdout) == (1, True)
    assert re.search(r"control +pass +1 pass", done.stdout)
    assert re.search(r"smoke +fail +1 pass, \d+ skip", done.stdout)


def test_a_failing_cron_run_is_reported_by_output_and_exit_code(cron: Any) -> None:
    project, run = cron
    done = run(EXAWORKS_DEPLOYMENT="venv:/nowhere")
    assert done.returncode == 1
    assert "test/box: failed" in done.stdout
    assert re.search(r"control +fail +no run: exit code 2", done.stdout)
    assert re.search(r"smoke +fail +not run: control did not pass", done.stdout)
    assert f"log: {project.home / 'test-box' / 'cron.log'}" in done.stdout


def test_a_second_cron_run_exits_while_the_first_is_running(cron: Any) -> None:
    project, run = cron
    home = project.home / "test-box"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "cron.lock").open("w") as held:
        subprocess.run(["flock", str(held.fileno())], pass_fds=[held.fileno()], check=True)
        done = run()
    assert (done.returncode, done.stdout) == (0, "")
    assert not (home / "cron.log").exists(), "the second run started a stage"


def test_the_command_exists_only_in_a_checkout(tmp_path: Path) -> None:
    """An installation is simulated by a program that does not find its checkout."""
    for package in ("exaworks_sdk", "site_configs"):
        (tmp_path / package).symlink_to(ROOT / package)
    probe = (
        "import sys; sys.path.insert(0, sys.argv[1]); import exaworks_sdk.paths as p; p.checkout = lambda: None; "
        "from exaworks_sdk.cli import Commands; print('ci' in Commands().list_commands(None))"
    )
    answers = [
        subprocess.run([sys.executable, "-I", "-c", text, str(ROOT)], capture_output=True, text=True, check=True).stdout
        for text in (probe, probe.replace("p.checkout = lambda: None; ", ""))
    ]
    assert [answer.strip() for answer in answers] == ["False", "True"]
    assert subprocess.run([*EXAWORKS, "ci", "--help"], capture_output=True, check=False).returncode == 0
