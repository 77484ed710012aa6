"""The documentation is correct: its examples run, its tables are complete, and its links have a target."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from dashboard_client.leaves import MANIFEST, RECORD
from sdk_tests import Case, Outcome
from sdk_tests.plan.components import ComponentKind
from sdk_tests.report import EXIT_CODES
from sdk_tests.schedulers import SchedulerKind
from sdk_tests.testbeds import TestbedKind
from site_configs.load import load_text
from tests.sdk_tests.bench import Bench

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(
            page
            for folder in (".", "docs", "docs/start", "docs/tutorials", "requirements")
            for page in ROOT.glob(f"{folder}/*.md")
        ),
        *ROOT.glob("docs/examples/*/*.md"),
    ]
)
EXTENDING = (ROOT / "docs/extending.md").read_text()
README = (ROOT / "README.md").read_text()
SECURITY = (ROOT / "docs/security.md").read_text()


def section(title: str) -> str:
    match = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", EXTENDING, re.DOTALL | re.MULTILINE)
    assert match, title
    return match[1]


def blocks(title: str, language: str = "python") -> list[str]:
    """Return the code blocks of a section."""
    return re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)


def names_of(source: str) -> dict[str, Any]:
    """Run an example and return its names."""
    names: dict[str, Any] = {}
    exec(compile(source, "docs/extending.md", "exec"), names)
    return names


def commands() -> dict[str, str]:
    """Return the entry points of the command line, as the project declares them."""
    declared = (ROOT / "pyproject.toml").read_text().partition('entry-points."exaworks.commands"]\n')[2]
    return dict(re.findall(r'^(\w+) = "([\w.:]+)"$', declared.partition("\n\n")[0], re.MULTILINE))


def table_of_commands() -> dict[str, str]:
    table = README.partition("## Commands\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_has_an_existing_target(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]*)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_file_of_the_project_exists(page: Path) -> None:
    for name in re.findall(
        r"`((?:sdk_tests|site_configs|dashboard_client|collector|exaworks_sdk|docs)/[\w./]*)`", page.read_text()
    ):
        assert (ROOT / name).exists(), name


def test_the_table_of_commands_lists_the_commands_of_the_command_line() -> None:
    assert sorted(table_of_commands()) == sorted(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_table_lists_exactly_the_subcommands_of_a_command(name: str) -> None:
    module, _, attribute = commands()[name].partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    named = set(re.findall(r"`(\w+)`", table_of_commands()[name]))
    assert named == (set(command.commands) if isinstance(command, click.Group) else set())


def test_the_exit_codes_are_those_of_a_run() -> None:
    listed = re.findall(r"^  \| (\d+) \|", README, re.MULTILINE)
    assert sorted(map(int, listed)) == sorted(EXIT_CODES)


@pytest.mark.parametrize("model", ["record", "manifest"])
@pytest.mark.parametrize("tier", ["minimal", "full"])
def test_every_field_that_may_leave_the_machine_is_listed_under_its_tier(model: str, tier: str) -> None:
    table = {"record": RECORD, "manifest": MANIFEST}[model]
    listed = SECURITY.partition(f"<!-- {model}: {tier} -->")[2].strip().partition("\n\n")[0]
    wanted = sorted(name for name, leaf in table.items() if leaf.minimal is (tier == "minimal"))
    assert re.findall(r"`([\w.]+)`", listed) == wanted


@pytest.mark.parametrize("text", blocks("A site", "yaml"))
def test_the_examples_of_a_site_file_load(text: str) -> None:
    assert load_text(text, "docs/extending.md").system == "my-site/machine"


def test_the_example_of_a_payload_prints_its_answer(tmp_path: Path) -> None:
    payload = tmp_path / "parsl" / "square.py"
    payload.parent.mkdir()
    payload.write_text(blocks("A case")[0])
    for helper in ROOT.glob("sdk_tests/payloads/_*.py"):
        shutil.copy(helper, tmp_path)
    request = json.dumps({"params": {"number": 12}, "scratch": str(tmp_path / "scratch")})
    done = subprocess.run([sys.executable, str(payload), request], capture_output=True, timeout=30, text=True)
    assert json.loads(done.stdout) == {"square": 144}, done.stderr


def test_the_example_of_a_case_accepts_a_correct_and_refuses_a_wrong_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload, module = tmp_path / "parsl" / "square.py", tmp_path / "example_case.py"
    payload.parent.mkdir()
    for path, text in zip((payload, module), blocks("A case"), strict=True):
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    judge = import_module("example_case").test_a_worker_squares_a_number
    (case,) = judge.exaworks_cases
    assert isinstance(case, Case)
    assert case.case_id("slurm") == "parsl/square@slurm"
    assert case.payload_file == payload

    def outcome(square: int) -> Outcome:
        return Outcome(case, "parsl/square@local", "local", {"square": square}, 0, params=dict(case.params))

    judge(outcome(144))
    with pytest.raises(AssertionError):
        judge(outcome(145))


def test_the_examples_of_a_component_are_a_component_kind_and_a_reader_of_its_logs(tmp_path: Path) -> None:
    source, reader = blocks("A component")
    assert isinstance(names_of(source)["FIREWORKS"], ComponentKind)
    (tmp_path / "FW_job-1.error").touch()
    assert [path.name for path in names_of(reader)["logs"](tmp_path)] == ["FW_job-1.error"]


def test_the_example_of_a_deployment_kind_resolves_a_folder(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "python3"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    (source,) = blocks("A deployment kind")
    deployment = names_of(source)["resolve"](str(tmp_path), dict(os.environ))
    assert (deployment.kind, deployment.python) == ("profile", str(program))


@pytest.mark.needs("procps")
def test_the_example_of_a_scheduler_kind_runs_cases(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        site_additions="schedulers: [{kind: process, status_interval: 0.2, job_unknown_limit: 2, result_grace: 1}]\n",
    )
    bench.case("answers", where="job")
    bench.case("shares")
    bench.case("fails", "import sys; sys.exit(9)", where="job")
    bench.case("hangs", "import time; time.sleep(300)", where="job", walltime=1.0)
    bench.case("vanishes", "import os, signal; os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)", where="job")
    environ = bench.environ()
    plug = Path(environ["PYTHONPATH"].partition(":")[0])
    (plug / "process_kind.py").write_text(blocks("A scheduler kind")[0])
    points = plug / "bench-1.dist-info" / "entry_points.txt"
    points.write_text(points.read_text() + "[exaworks.schedulers]\nprocess = process_kind:ProcessKind\n")
    # The supervisor ignores PYTHONPATH, so a kind has to be installed; this environment represents the installation.
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "kind.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n{plug}\n")
    command = [str(tmp_path / "venv/bin/python"), *bench.command("--scheduler", "process")[1:]]
    bench.environ = lambda: environ  # type: ignore[method-assign]
    bench.command = lambda *_: command  # type: ignore[method-assign]
    try:
        result = bench.run()
    finally:
        bench.close()
    assert result.verdict("python/answers@process") == ("pass",), result.output
    assert result.verdict("python/shares@process") == ("pass",)
    assert result.verdict("python/fails@process") == ("fail", "component", "payload-failed")
    assert result.verdict("python/hangs@process") == ("fail", "component", "time-limit")
    assert result.verdict("python/vanishes@process") == ("error", "unknown", "job-vanished")


@pytest.mark.parametrize(("title", "interface"), [("A scheduler kind", SchedulerKind), ("A testbed", TestbedKind)])
def test_every_method_of_an_interface_is_explained(title: str, interface: type) -> None:
    rows = "\n".join(line for line in section(title).splitlines() if line.startswith("| `"))
    explained = set(re.findall(r"`(\w+)\(", rows))
    assert explained >= interface.__abstractmethods__  # type: ignore[attr-defined]
    assert all(hasattr(interface, name) for name in explained)


def test_the_arguments_of_a_case_that_the_page_names_exist() -> None:
    match = re.search(r"`where`.*?are explained", section("A case"), re.DOTALL)
    assert match
    assert set(re.findall(r"`(\w+)`", match[0])) <= set(Case.__dataclass_fields__)
