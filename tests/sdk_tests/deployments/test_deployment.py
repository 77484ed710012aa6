"""Each kind of deployment is activated for its payloads alone."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exaworks_sdk.release import load
from sdk_tests.deployments import activation, base_environ, resolve
from sdk_tests.errors import DeploymentError
from sdk_tests.execution.agent import payload_environment
from sdk_tests.plan.components import ComponentKind
from sdk_tests.plan.probe import probe
from tests.running import running
from tests.waiting import wait_until

BASE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": "/stray"}


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def fake_python(folder: Path) -> Path:
    return program(folder / "bin" / "python3", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')


def test_a_virtual_environment_comes_first_on_path_without_a_stray_pythonpath() -> None:
    deployment = resolve(f"venv:{sys.prefix}", BASE)
    assert deployment.environ["PATH"].split(":")[0] == f"{sys.prefix}/bin"
    assert deployment.environ["VIRTUAL_ENV"] == sys.prefix
    assert "PYTHONPATH" not in deployment.environ
    assert deployment.delta["PATH"] == deployment.environ["PATH"]


def test_path_takes_the_environment_as_it_is(tmp_path: Path) -> None:
    python = fake_python(tmp_path)
    deployment = resolve("path", {**BASE, "PATH": f"{tmp_path}/bin:{BASE['PATH']}"})
    assert deployment.python == str(python)
    assert deployment.environ["PYTHONPATH"] == "/stray"


def test_a_spack_environment_is_activated_by_spack_itself(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "view")
    text = '#!/bin/sh\n[ "$1 $2 $3 $4" = "env activate --sh exaworks" ] || exit 9\n'
    text += f"echo 'export PATH={tmp_path}/view/bin:$PATH'\necho 'export SPACK_ENV=/e/exaworks;'\n"
    program(tmp_path / "spack" / "bin" / "spack", text)
    deployment = resolve("spack:exaworks", {**BASE, "SPACK_ROOT": str(tmp_path / "spack")})
    assert deployment.python == str(python)
    assert deployment.environ["SPACK_ENV"] == "/e/exaworks"
    assert deployment.delta["SPACK_ENV"] == "/e/exaworks"
    assert "PYTHONPATH" not in deployment.environ


def test_the_installed_roots_of_an_environment_without_a_view_are_loaded(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "store")
    environ = with_spack(
        tmp_path / "tools",
        f"""
        case "$*" in
            "env activate --sh mine") echo "export SPACK_ENV=/e/mine" ;;
            "-e mine find --explicit --format /{{hash}}") printf '/one\n/two\n' ;;
            "-e mine load --sh /one /two") echo 'export PATH={python.parent}:$PATH PYTHONPATH=/store/lib' ;;
            *) echo "not expected: $*" >&2; exit 9 ;;
        esac""",
    )
    deployment = resolve("spack:mine", environ)
    assert deployment.python == str(python)
    assert deployment.environ["PYTHONPATH"] == "/store/lib"


@pytest.mark.parametrize("named", ["environment", "environment/.spack-env/view", "view"])
def test_what_the_lock_of_a_spack_environment_contains_is_promised(tmp_path: Path, named: str) -> None:
    environment = tmp_path / "environment"
    view = environment / ".spack-env" / "view"
    python = fake_python(view)
    (tmp_path / "view").symlink_to(view)
    (environment / "spack.yaml").touch()
    nodes = {"a": {"name": "py-parsl"}, "b": {"name": "zlib"}, "c": {"name": "flux-core", "external": {"path": "/usr"}}}
    (environment / "spack.lock").write_text(json.dumps({"concrete_specs": nodes}))
    environ = with_spack(tmp_path / "tools", f"echo 'export SPACK_ENV={environment} PATH={python.parent}:$PATH'")
    assert resolve(f"spack:{tmp_path / named}", environ).promises == {"parsl": None, "flux": None}


def test_a_lock_of_spack_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    fake_python(tmp_path)
    (tmp_path / "spack.lock").write_text("[]")
    with pytest.raises(DeploymentError, match=r"spack\.lock: cannot be read"):
        resolve(f"spack:{tmp_path}", BASE)


def test_an_environment_that_lies_beside_its_own_spack_is_activated_by_that(tmp_path: Path) -> None:
    (tmp_path / "spack" / "bin").mkdir(parents=True)
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "spack.yaml").touch()
    spack = tmp_path / "spack" / "bin" / "spack"
    view = fake_python(tmp_path / "environment" / ".spack-env" / "view").parent
    spack.write_text(
        f"#!/bin/sh\necho \"export ACTIVATED='$*' SPACK_ENV={tmp_path}/environment PATH={view}:\\$PATH\"\n"
    )
    spack.chmod(0o755)
    deployment = resolve(f"spack:{tmp_path / 'environment'}", BASE)
    assert deployment.environ["ACTIVATED"] == f"env activate --sh {tmp_path / 'environment'}"


def test_spack_alone_is_what_install_has_made_and_promises_what_that_holds(tmp_path: Path) -> None:
    prefix = tmp_path / "spack" / load().name
    python = fake_python(prefix / "view")
    program(
        prefix / "spack" / "bin" / "spack",
        f"#!/bin/sh\necho 'export PATH={python.parent}:$PATH SPACK_ENV={prefix}/environment'\n",
    )
    (prefix / "environment").mkdir()
    (prefix / "environment" / "spack.yaml").touch()
    nodes = {"a": {"name": "py-psij-python"}, "b": {"name": "flux-core", "external": {"path": "/usr"}}}
    (prefix / "environment" / "spack.lock").write_text(json.dumps({"concrete_specs": nodes}))
    (tmp_path / "box.yaml").write_text("system: test/box\ndescription: x\nlocal: {allowed: true}\ndeployment: spack\n")
    argv = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", str(tmp_path / "box.yaml")]
    env = {**BASE, "PATH": "/usr/bin:/bin", "EXAWORKS_HOME": str(tmp_path)}
    done = subprocess.run([*argv, "--list", "--json"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    planned = {case["case"]: (case["verdict"], case["reason"]) for case in json.loads(done.stdout)}
    verdict, reason = planned["psij/hello@local"]
    assert (verdict, reason.partition("although ")[2]) == ("fail", f"release {load().name} promises psij 0.9.11")
    assert planned["flux/instance@local"][0] == "fail", "it is the site's own, and was to be there"
    assert planned["parsl/python_app@local"][0] == "skip", "it was left out of the environment"
    assert f"of deployment spack {load().name}" in reason


def test_a_spack_prefix_is_a_view(tmp_path: Path) -> None:
    python = fake_python(tmp_path)
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    deployment = resolve(f"spack:{tmp_path}", BASE)
    assert deployment.python == str(python)
    assert deployment.environ["PYTHONPATH"] == f"{tmp_path}/lib/python3.11/site-packages"


def test_a_module_is_loaded_in_a_shell_that_has_the_command(tmp_path: Path) -> None:
    fake_python(tmp_path)
    init = tmp_path / "init" / "bash"
    init.parent.mkdir()
    init.write_text(
        'module() { [ "$1 $2" = "load exaworks/2026.11" ] || return 1; '
        f"export PATH={tmp_path}/bin:$PATH LOADEDMODULES=$2; }}\n"
    )
    deployment = resolve("module:exaworks/2026.11", {**BASE, "LMOD_PKG": str(tmp_path)})
    assert deployment.environ["LOADEDMODULES"] == "exaworks/2026.11"
    assert deployment.python == str(tmp_path / "bin" / "python3")
    contents = probe(deployment, {})
    assert contents.modules == ["exaworks/2026.11"]


def test_a_conda_environment_is_activated_by_conda_itself(tmp_path: Path) -> None:
    fake_python(tmp_path / "envs" / "mine")
    prefix = tmp_path / "envs" / "mine"
    hook = f'conda() {{ [ "$1 $2" = "activate mine" ] && export PATH={prefix}/bin:$PATH CONDA_PREFIX={prefix}; }}'
    program(tmp_path / "bin" / "conda", f"#!/bin/sh\necho '{hook}'\n")
    deployment = resolve("conda:mine", {**BASE, "PATH": f"{tmp_path}/bin:{BASE['PATH']}"})
    assert deployment.python == str(tmp_path / "envs" / "mine" / "bin" / "python3")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("venv:/no/such/folder", "no program"),
        ("venv:", "give one of"),
        ("snap:thing", "give one of"),
        ("spack:nowhere", "no spack on PATH"),
        ("conda:mine", "no conda on PATH"),
        ("module:no-such-module", "no module command|no-such-module"),
        ("image:no-such-image", "no podman or docker|has no image"),
    ],
)
def test_a_deployment_that_does_not_exist_is_named_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(DeploymentError, match=reason) as error:
        resolve(text, {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    assert error.value.exit_code == 2
    assert text in error.value.format_message()


MODULE = "module() {{ {body} }}\n"


def with_module(folder: Path, body: str) -> dict[str, str]:
    """Return an environment whose ``module`` command does what ``body`` says."""
    init = folder / "init" / "bash"
    init.parent.mkdir(parents=True)
    init.write_text(MODULE.format(body=body))
    fake_python(folder)
    return {**BASE, "LMOD_PKG": str(folder), "PATH": f"{folder}/bin:{BASE['PATH']}"}


def with_conda(folder: Path, body: str) -> dict[str, str]:
    program(folder / "bin" / "conda", f"#!/bin/sh\ncat <<'X'\nconda() {{ {body} }}\nX\n")
    fake_python(folder)
    return {**BASE, "PATH": f"{folder}/bin:{BASE['PATH']}"}


def with_spack(folder: Path, text: str) -> dict[str, str]:
    program(folder / "bin" / "spack", f"#!/bin/sh\n{text}\n")
    fake_python(folder)
    return {**BASE, "PATH": f"{folder}/bin:{BASE['PATH']}"}


@pytest.mark.parametrize(
    ("text", "environ", "reason"),
    [
        (
            "module:parsl",
            lambda f: with_module(f, "echo 'ERROR:105: Unable to locate' >&2; return 0;"),
            "is not loaded",
        ),
        ("module:parsl", lambda f: with_module(f, "export LOADEDMODULES=gcc/12:cmake;"), "gcc/12, cmake"),
        ("conda:mine", lambda f: with_conda(f, "true;"), "CONDA_PREFIX names no folder"),
        ("conda:mine", lambda f: with_conda(f, f"export CONDA_PREFIX={f}/envs;"), "CONDA_PREFIX names no folder"),
        (
            "conda:mine",
            lambda f: with_conda(f, f"export CONDA_PREFIX={f} CONDA_DEFAULT_ENV=base;"),
            "the active environment is not mine",
        ),
        (
            "spack:mine",
            lambda f: with_spack(f, "echo '==> Error: no such environment' >&2; exit 1"),
            "no such environment",
        ),
        ("spack:mine", lambda f: with_spack(f, "true"), "the environment mine is not active"),
        ("spack:mine", lambda f: with_spack(f, "echo export SPACK_ENV=/e/other"), "the environment mine is not active"),
        (
            "spack:mine",
            lambda f: with_spack(f, 'case $1 in env) echo "export SPACK_ENV=/e/mine";; esac'),
            "it added nothing to PATH; nothing is installed",
        ),
        (
            "spack:mine",
            lambda f: with_spack(
                f, 'case $1 in env) echo "export SPACK_ENV=/e/mine";; *) echo "no lock" >&2; exit 1; esac'
            ),
            "no lock",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" in value else None,
)
def test_an_activation_that_succeeds_and_does_not_do_its_work_is_an_error(
    tmp_path: Path, text: str, environ: Callable[[Path], dict[str, str]], reason: str
) -> None:
    with pytest.raises(DeploymentError, match=reason) as error:
        resolve(text, environ(tmp_path / "tools"))
    assert error.value.exit_code == 2


def test_an_activation_that_hangs_is_ended_and_the_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation.activate, "__kwdefaults__", {"limit": 0.5})
    with pytest.raises(DeploymentError, match=r"module load parsl/2026.10 did not end within 0.5 s"):
        resolve("module:parsl/2026.10", with_module(tmp_path, "sleep 54331;"))
    assert running("sleep 54331") == []


def test_a_process_that_an_activation_leaves_neither_holds_it_up_nor_outlives_it(tmp_path: Path) -> None:
    environ = with_module(tmp_path, "export LOADEDMODULES=$2; sleep 54332 &")
    began = time.monotonic()
    assert resolve("module:agent", environ).environ["LOADEDMODULES"] == "agent"
    assert time.monotonic() - began < 30
    wait_until(lambda: running("sleep 54332") == [])


def test_what_an_activation_removes_is_removed_in_jobs_too_and_its_functions_survive(tmp_path: Path) -> None:
    environ = with_module(tmp_path, "export LOADEDMODULES=$2; unset GONE; export -f module;")
    deployment = resolve("module:m", {**environ, "GONE": "x", "FOO": os.fsdecode(b"caf\xe9")})
    assert "GONE" in deployment.unset
    assert "BASH_FUNC_module%%" in deployment.delta
    inside = payload_environment(
        {"GONE": "x", "PYTHONSTARTUP": "/x", "PYTHONPATH": "/x", "OWN": "1"},
        {"set": dict(deployment.delta), "unset": list(deployment.unset)},
    )
    assert not {"GONE", "PYTHONSTARTUP", "PYTHONPATH"} & inside.keys()
    assert (inside["OWN"], inside["PYTHONNOUSERSITE"]) == ("1", "1")
    assert deployment.environ["FOO"] == os.fsdecode(b"caf\xe9")


def test_activation_that_fails_shows_its_own_last_line(tmp_path: Path) -> None:
    init = tmp_path / "init" / "bash"
    init.parent.mkdir()
    init.write_text("module() { echo 'Lmod has detected the following error: unknown module' >&2; return 1; }\n")
    with pytest.raises(DeploymentError, match="unknown module"):
        resolve("module:nothing", {**BASE, "LMOD_PKG": str(tmp_path)})


def test_what_belongs_to_the_harness_stays_out() -> None:
    given = {"EXAWORKS_COLLECTOR_TOKEN": "x", "PYTEST_CURRENT_TEST": "x", "SITE_TOKEN": "x", "MINE": "x"}
    assert base_environ(given, ("SITE_TOKEN",)) == {"MINE": "x"}


def test_the_digest_changes_with_what_is_installed(tmp_path: Path) -> None:
    deployment = resolve(f"venv:{sys.prefix}", BASE)
    before = probe(deployment, {}).digest
    assert probe(deployment, {}).digest == before
    info = tmp_path / "extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    changed = dict(deployment.environ) | {"PYTHONPATH": str(tmp_path)}
    assert probe(type(deployment)(**{**vars(deployment), "environ": changed}), {}).digest != before


def test_a_probe_names_what_it_looked_for(tmp_path: Path) -> None:
    deployment = resolve(f"venv:{sys.prefix}", BASE)
    kinds = {
        "pytest": ComponentKind("pytest", distribution="pytest"),
        "ghost": ComponentKind("ghost", distribution="ghost-package"),
        "tool": ComponentKind("tool", command="no-such-tool"),
    }
    contents = probe(deployment, kinds)
    assert contents.components["pytest"].version == pytest.__version__
    assert "ghost-package" in contents.absent["ghost"]
    assert "`no-such-tool` on PATH" in contents.absent["tool"]


def test_a_package_outside_of_the_deployment_does_not_satisfy_it(tmp_path: Path) -> None:
    site = tmp_path / "home" / ".local" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    for name, folder in (("ghost", site), ("beside", tmp_path / "stray")):
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(venv)], check=True)
    (venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "x.pth").write_text(f"{tmp_path}/stray\n")
    deployment = resolve(f"venv:{venv}", {**BASE, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(site)})
    kinds = {name: ComponentKind(name, distribution=name) for name in ("ghost", "beside")}
    contents = probe(deployment, kinds)
    assert contents.components == {}
    assert "no distribution 'ghost'" in contents.absent["ghost"]
    assert f"{tmp_path}/stray, which is not part of deployment venv:venv" in contents.absent["beside"]


@pytest.mark.parametrize(("inside", "provider"), [(True, "venv"), (False, "path")])
def test_a_command_on_path_beside_a_virtual_environment_is_tested_but_not_called_its_own(
    tmp_path: Path, inside: bool, provider: str
) -> None:
    prefix = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    folder = prefix / "bin" if inside else tmp_path / "tools"
    program(folder / "some-tool", "#!/bin/sh\necho some-tool 1.2.3\n")
    environ = {**BASE, "PATH": f"{tmp_path / 'tools'}:{BASE['PATH']}"}
    contents = probe(resolve(f"venv:{prefix}", environ), {"tool": ComponentKind("tool", command="some-tool")})
    component = contents.components["tool"]
    assert (component.version, component.provider, component.location) == ("1.2.3", provider, str(folder / "some-tool"))


def test_an_interpreter_that_cannot_answer_is_an_error_of_the_deployment(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python", "#!/bin/sh\necho 'illegal instruction' >&2; exit 132\n")
    with pytest.raises(DeploymentError, match="illegal instruction"):
        probe(resolve(f"venv:{tmp_path}", BASE), {})
