"""``exaworks install`` with a Spack that is a shell script: repeated steps, messages of failures, continuation."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from exaworks_sdk.cli import main
from exaworks_sdk.cli_install import install as command
from exaworks_sdk.errors import InstallError, ReleaseError
from exaworks_sdk.paths import places
from exaworks_sdk.release import Checkout, load
from exaworks_sdk.spack.environment import bundle_spec, environment_text, parse_variants
from exaworks_sdk.spack.install import InstallRequest, install, packages

from exaworks_sdk.spack.tool import StepFailedError, checkout, run, Spack  # isort: skip

RECIPES = Path(__file__).resolve().parents[2] / "spack_repo" / "exaworks"
LOCK = {
    "concrete_specs": {
        "a": {"name": "py-parsl"},
        "b": {"name": "flux-core", "external": {"path": "/usr"}},
        "c": {"name": "zlib"},
    }
}
SCRIPT = """#!/bin/sh
# A Spack that records its commands and creates the files of a real one.
echo "$*" >> "$CALLS"
case "$*" in
*concretize*) {concretize} ;;
*install*) {install} ;;
*test*) {test} ;;
esac
"""
GOOD = {
    "concretize": f"echo '{json.dumps(LOCK)}' > \"$3/spack.lock\"",
    "install": "echo '[+] abcdefg py-parsl@1 /opt/py-parsl'; echo '[+] hijklmn zlib@1 /opt/zlib'",
    "test": "echo '==> Testing package py-parsl'; echo '===== 15 passed of 15 specs ====='",
}


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("SPACK_ROOT", str(tmp_path / "spack"))
    (tmp_path / "spack" / "bin").mkdir(parents=True)
    return tmp_path / "calls"


def program(tmp_path: Path, **steps: str) -> None:
    path = tmp_path / "spack" / "bin" / "spack"
    path.write_text(SCRIPT.format(**{**GOOD, **steps}))
    path.chmod(0o755)


def request(tmp_path: Path, **changes: object) -> InstallRequest:
    fields = {
        "release": load(),
        "prefix": tmp_path / "prefix",
        "recipes": RECIPES,
        "resume_command": "exaworks install",
    }
    return InstallRequest(**{**fields, **changes})  # type: ignore[arg-type]


def steps(calls: Path) -> list[str]:
    names = ("concretize", "install", "test")
    return [next(name for name in names if f" {name}" in line) for line in calls.read_text().splitlines()]


def test_one_package_of_a_concretized_environment_is_installed_by_its_hash(tmp_path: Path, calls: Path) -> None:
    nodes = {
        "abc123456": {"name": "parsl", "version": "1", "dependencies": [{"hash": "def123456"}, {"hash": "ext"}]},
        "def123456": {"name": "zlib", "version": "2"},
        "ext": {"name": "gcc", "version": "3", "external": {"path": "/usr"}},
    }
    lock = json.dumps({"concrete_specs": nodes})
    find = "case $* in *find*) echo def123456 ;; esac"
    program(tmp_path, concretize=f"echo '{lock}' > \"$3/spack.lock\"")
    with pytest.raises(InstallError, match="is not concretized"):
        install(request(tmp_path, package="abc123456"), print)
    install(request(tmp_path, until="concretize"), print)
    script = tmp_path / "spack" / "bin" / "spack"
    script.write_text(script.read_text() + find + "\n")
    parsl, zlib = packages(request(tmp_path))
    assert (parsl.needs, parsl.installed, zlib.installed) == (("def123456",), False, True)
    install(request(tmp_path, package="abc123456"), print)
    assert calls.read_text().splitlines()[-1].endswith("environment install --no-add /abc123456")
    with pytest.raises(InstallError, match="no package with this hash"):
        install(request(tmp_path, package="ghi"), print)


def test_the_steps_run_in_order_and_the_deployment_is_returned(tmp_path: Path, calls: Path) -> None:
    program(tmp_path)
    lines: list[str] = []
    assert install(request(tmp_path), lines.append) == f"spack:{tmp_path / 'prefix' / 'environment'}"
    assert steps(calls) == ["concretize", "install", "test"]
    assert [line for line in lines if line.startswith(("1/", "2/"))] == [
        "1/2 py-parsl@1   about 1 min left",
        "2/2 zlib@1",
    ]
    tested = calls.read_text().splitlines()[-1].split()
    assert tested[tested.index("--externals") :] == ["--externals", "flux-core", "py-parsl"]


def test_a_repeated_installation_concretizes_only_a_changed_environment(tmp_path: Path, calls: Path) -> None:
    program(tmp_path)
    install(request(tmp_path), lambda line: None)
    install(request(tmp_path), lambda line: None)
    assert steps(calls) == ["concretize", "install", "test", "install", "test"]
    install(request(tmp_path, changed={"swift": False}, tests=False), lambda line: None)
    assert steps(calls)[-2:] == ["concretize", "install"]


def test_compilers_that_spack_adds_to_the_environment_do_not_make_it_concretize_again(
    tmp_path: Path, calls: Path
) -> None:
    adds = f"{GOOD['concretize']}; echo '# gcc, found by Spack' >> \"$2/spack.yaml\" "
    program(tmp_path, concretize=adds.replace("$2/", "$3/"), install="exit 1")
    with pytest.raises(InstallError):
        install(request(tmp_path), lambda line: None)
    program(tmp_path)
    install(request(tmp_path), lambda line: None)
    assert steps(calls) == ["concretize", "install", "install", "test"]
    assert "found by Spack" in (tmp_path / "prefix" / "environment" / "spack.yaml").read_text()


def test_the_environment_contains_our_recipes_and_the_scope_of_the_site(tmp_path: Path, calls: Path) -> None:
    program(tmp_path)
    install(request(tmp_path, scope=tmp_path / "scope"), lambda line: None)
    written = YAML(typ="safe").load(tmp_path / "prefix" / "environment" / "spack.yaml")["spack"]
    assert written["repos"] == {"exaworks": str(RECIPES)}
    assert written["include"] == [str(tmp_path / "scope")]
    assert written["specs"] == [bundle_spec(load())]


@pytest.mark.parametrize(
    ("step", "fails", "title", "reason", "hint"),
    [
        (
            "concretize",
            "echo '==> Error: cannot satisfy flux-core@0.88'; echo '  because of gcc'; echo more; exit 1",
            "concretize the environment",
            "  Error: cannot satisfy flux-core@0.88\n  because of gcc\nFull output: ",
            "",
        ),
        (
            "install",
            "echo 'fatal: unable to access: Could not resolve host: x'; exit 1",
            "install the environment",
            "  fatal: unable to access: Could not resolve host: x\n",
            "Without a network, fill a source mirror",
        ),
        (
            "install",
            "echo '==> Error: No space left on device'; exit 1",
            "install",
            "  Error: No space",
            "disk is full",
        ),
        ("concretize", "echo '==> Error: no compilers found'; exit 1", "concretize", "  Error: no com", "Install gcc"),
        ("test", "echo '==> Error: 1 test failed'; exit 1", "test what was installed", "  Error: 1 test failed", ""),
        (
            "test",
            "echo '===== 14 passed, 1 no_tests of 15 specs ====='",
            "test what was installed",
            "  Spack did not test every package: 14 passed, 1 no_tests of 15 specs",
            "",
        ),
    ],
)
def test_a_failure_reports_the_step_the_reason_and_the_command_to_continue(
    tmp_path: Path, calls: Path, step: str, fails: str, title: str, reason: str, hint: str
) -> None:
    program(tmp_path, **{step: fails})
    with pytest.raises(InstallError) as error:
        install(request(tmp_path, resume_command="exaworks install --release 2026.11"), lambda line: None)
    message = error.value.message
    assert message.startswith(f"cannot {title}")
    assert reason in message
    assert hint in message
    assert message.endswith(
        f"Full output: {tmp_path}/prefix/logs/{step}.log\nTo continue: exaworks install --release 2026.11"
    )


def test_after_a_failed_installation_it_continues_without_concretizing(tmp_path: Path, calls: Path) -> None:
    program(tmp_path, install="exit 1")
    with pytest.raises(InstallError):
        install(request(tmp_path), lambda line: None)
    program(tmp_path)
    install(request(tmp_path), lambda line: None)
    assert steps(calls) == ["concretize", "install", "install", "test"]


def test_an_interruption_is_passed_on_to_spack(tmp_path: Path, calls: Path) -> None:
    trap = 'trap \'echo interrupted >> "$CALLS"; exit 2\' INT; : > "$CALLS.ready"; while :; do sleep 0.05; done'
    program(tmp_path, install=trap)
    text = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"  # may be inherited as ignored
        "from pathlib import Path; from tests.exaworks_sdk.test_spack_install import request;"
        "from exaworks_sdk.spack.install import install; install(request(Path(sys.argv[1])), print)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path)], cwd=RECIPES.parents[1], stderr=subprocess.PIPE
    )
    end = time.monotonic() + 60
    while not Path(f"{calls}.ready").exists():
        assert time.monotonic() < end
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert calls.read_text().splitlines()[-1] == "interrupted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_names_the_command_that_continues(
    tmp_path: Path, calls: Path, number: signal.Signals
) -> None:
    trap = 'trap \'echo interrupted >> "$CALLS"; exit 2\' INT; : > "$CALLS.ready"; while :; do sleep 0.05; done'
    program(tmp_path, install=trap)
    text = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"  # may be inherited as ignored
        "from exaworks_sdk.cli import main; sys.argv[1:] = ['install', '--prefix', sys.argv[1]]; main()"
    )
    argv = [sys.executable, "-c", text, str(tmp_path / "prefix")]
    child = subprocess.Popen(argv, cwd=RECIPES.parents[1], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not Path(f"{calls}.ready").exists():
        assert time.monotonic() < end
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(number)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    assert stderr.splitlines()[-1] == f"interrupted; to continue: exaworks install --prefix {tmp_path}/prefix"
    assert calls.read_text().splitlines()[-1] == "interrupted"


def test_a_spack_root_without_spack_is_refused(tmp_path: Path, calls: Path) -> None:
    with pytest.raises(InstallError, match="has no executable bin/spack"):
        install(request(tmp_path), lambda line: None)


def repository(folder: Path) -> str:
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-C", str(folder)]
    folder.mkdir(exist_ok=True)
    for step in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *step], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_commit_is_cloned_once_and_a_damaged_checkout_is_repaired(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("text")
    (tmp_path / "source").rename(tmp_path / "files")
    source = tmp_path / "source"
    repository(source)
    (tmp_path / "files" / "file").rename(source / "file")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-C", str(source)]
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "second"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    wanted, log = Checkout(source.as_uri(), commit), tmp_path / "log"
    assert checkout(wanted, tmp_path / "clone", log) is True
    assert checkout(wanted, tmp_path / "clone", log) is False
    (tmp_path / "clone" / "file").write_text("damaged")
    checkout(wanted, tmp_path / "clone", log)
    assert (tmp_path / "clone" / "file").read_text() == "text"


def test_the_error_for_an_absent_repository_is_that_of_git(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match=r"does not appear to be a git repository|does not exist") as error:
        checkout(Checkout((tmp_path / "nowhere").as_uri(), "0" * 40), tmp_path / "clone", tmp_path / "log")
    assert error.value.log is not None
    assert "nowhere" in error.value.log.read_text()


def test_the_error_for_a_prefix_that_cannot_be_written_names_the_folder(tmp_path: Path, calls: Path) -> None:
    (tmp_path / "prefix").write_text("a file")
    with pytest.raises(
        InstallError, match=r"cannot clone Spack:\n  (Not a directory|File exists): .*/prefix.*\nTo continue"
    ):
        install(request(tmp_path), lambda line: None)


def test_a_program_that_cannot_be_started_is_a_failed_step(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match="No such file"):
        run(Spack(tmp_path / "nowhere", own=False), ["help"], tmp_path / "log")


def test_without_a_spack_the_commits_of_the_manifest_are_cloned_and_the_environment_is_complete(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path)
    tool = repository(tmp_path / "spack")
    (tmp_path / "packages").mkdir()
    packages = repository(tmp_path / "packages")
    release = load()
    assert release.spack
    local = msgspec.structs.replace(
        release.spack,
        tool=Checkout((tmp_path / "spack").as_uri(), tool),
        packages=Checkout((tmp_path / "packages").as_uri(), packages),
    )
    monkeypatch.delenv("SPACK_ROOT")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    cloned = request(tmp_path, release=msgspec.structs.replace(release, spack=local))
    install(cloned, lambda line: None)
    assert steps(calls) == ["concretize", "install", "test"]
    written = YAML(typ="safe").load(cloned.environment / "spack.yaml")["spack"]
    assert written["repos"]["builtin"] == f"{cloned.prefix}/packages/repos/spack_repo/builtin"
    assert written["config"]["install_tree"]["root"] == f"{cloned.prefix}/installed"
    assert (cloned.environment.parent / "spack" / "bin" / "spack").is_file()


def test_variants_are_read_and_unknown_ones_refused() -> None:
    assert parse_variants("~swift +maestro") == {"swift": False, "maestro": True}
    assert parse_variants("") == {}
    with pytest.raises(ReleaseError, match="not a list of variants"):
        parse_variants("swift")
    with pytest.raises(ReleaseError, match="no variant dask; choose from"):
        bundle_spec(load(), {"dask": True})


def test_dry_run_prints_the_environment_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(command, ["--dry-run", "--variants", "~swift"], obj=places())
    assert done.output == environment_text(load(), changed={"swift": False})
    assert list((tmp_path / "home").iterdir()) == []


def test_a_scope_is_a_folder_of_spack_configuration_and_excludes_a_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "home"))
    (tmp_path / "scope").mkdir()
    done = CliRunner().invoke(command, ["--dry-run", "--scope", str(tmp_path / "scope")], obj=places())
    assert done.output == environment_text(load(), scope=tmp_path / "scope")
    both = ["--dry-run", "--scope", str(tmp_path / "scope"), "--site", "llnl/dane"]
    refused = CliRunner().invoke(command, both, obj=places())
    assert refused.exit_code == 2
    assert "exclude each other" in refused.output
    absent = CliRunner().invoke(command, ["--dry-run", "--scope", str(tmp_path / "nowhere")], obj=places())
    assert absent.exit_code == 2


def test_a_site_without_spack_configuration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(command, ["--dry-run", "--site", "local/workstation"], obj=places())
    assert done.exit_code == 2
    assert "names no spack_scope" in done.output


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("config", "config:\n  install_tree:\n    root: /nowhere/$user\n", "Is it meant for this machine?"),
        ("modules", "modules:\n  default:\n    roots:\n      tcl: /nowhere/$user\n", "Is it meant for this machine?"),
        ("modules", "modules:\n  default:\n    roots:\n      lmod: $ABSENT/x\n", "set ABSENT."),
    ],
)
def test_a_folder_of_configuration_that_would_create_folders_elsewhere_is_refused(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, advice: str
) -> None:
    program(tmp_path)
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ABSENT", raising=False)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / f"{name}.yaml").write_text(text)
    refused = CliRunner().invoke(main, ["install", "--scope", str(tmp_path / "foreign"), "--until", "concretize"])
    assert refused.exit_code == 2
    assert f"the Spack configuration in {tmp_path / 'foreign'} does not fit this machine:" in refused.output
    assert f"{name}.yaml:" in refused.output
    assert advice in refused.output
    assert not calls.exists(), "Spack was started"


def test_the_configuration_of_a_site_is_refused_on_a_machine_without_its_variables_and_file_systems(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path)
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SCRATCH", raising=False)
    arguments = ["install", "--site", "nersc/perlmutter", "--until", "concretize"]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 2
    assert (
        "config.yaml:5: config.install_tree.root: $SCRATCH/spack/install: the variable SCRATCH is not" in refused.output
    )
    assert "If this is a machine of nersc/perlmutter, set SCRATCH." in refused.output
    monkeypatch.setenv("SCRATCH", "/nowhere/x")
    refused = CliRunner().invoke(main, arguments)
    assert "the folder /nowhere/x does not exist on this machine" in refused.output
    assert "Is this a machine of nersc/perlmutter?" in refused.output
    assert not calls.exists(), "Spack was started"
    assert "site_configs/nersc/spack/perlmutter" in CliRunner().invoke(main, [*arguments, "--dry-run"]).output
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert steps(calls) == ["concretize"]
