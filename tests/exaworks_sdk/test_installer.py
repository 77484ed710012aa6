"""Packages are installed by uv or by pip, from the places that pip is configured for, with the hashes of the lock."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from exaworks_sdk import compiler, environment
from exaworks_sdk.environment import EnvironmentFailedError, Recipe, is_current, left_out, make
from exaworks_sdk.installer import COMPILED, lock_text
from exaworks_sdk.locks import canonical, part, pins_of, with_hashes
from exaworks_sdk.pip_settings import UvSettings, uv_settings
from exaworks_sdk.release import load
from tests.exaworks_sdk.conftest import wheel

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pip takes packages from a folder only, as it is configured on some machines."""
    for name in ("EXAWORKS_WHEELHOUSE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nno-index = true\nfind-links = {tmp_path / 'wheels'}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))


def uv() -> str:
    import sys

    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("uv is neither on PATH nor in this environment, which was created without it")
    return found


def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("lib/python3*/site-packages/*.py")}


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_the_same_lock_is_installed_with_either_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    uv() if tool == "uv" else without_uv(monkeypatch)
    lock, lines = tmp_path / "x.lock", list[str]()
    lock.write_text(wheel(tmp_path / "wheels", "1.0") + wheel(tmp_path / "wheels", "2.0", name="other"))
    recipe = Recipe(tmp_path / "environment", lock, "the environment")
    make(recipe, lines.append)
    assert lines[-1] == f"installing 2 packages of x.lock with {tool}"
    assert modules(recipe.folder) >= {"tiny", "other"}
    assert list(recipe.folder.glob("lib/python3*/site-packages/__pycache__/tiny.*.pyc"))
    assert not recipe.log.exists()


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_a_file_with_another_hash_is_refused_by_either_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    uv() if tool == "uv" else without_uv(monkeypatch)
    lock = tmp_path / "x.lock"
    lock.write_text(wheel(tmp_path / "wheels", "1.0"))
    (file,) = (tmp_path / "wheels").iterdir()
    file.write_bytes(file.read_bytes() + b" ")
    recipe = Recipe(tmp_path / "environment", lock, "the environment")
    with pytest.raises(EnvironmentFailedError, match="differ from those in the lock"):
        make(recipe, lambda line: None)
    assert "tiny" not in modules(recipe.folder)
    assert ("uv pip install " in recipe.log.read_text()) == (tool == "uv")


def test_where_uv_fails_pip_repeats_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bin" / "uv"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: str(broken))
    lock = tmp_path / "x.lock"
    lock.write_text(wheel(tmp_path / "wheels", "1.0"))
    recipe = Recipe(tmp_path / "environment", lock, "the environment")
    make(recipe, lambda line: None)
    assert "tiny" in modules(recipe.folder)


def test_a_setting_of_pip_that_uv_lacks_means_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_KEYRING_PROVIDER", "disabled")
    lock, lines = tmp_path / "x.lock", list[str]()
    lock.write_text(wheel(tmp_path / "wheels", "1.0"))
    make(Recipe(tmp_path / "environment", lock, "the environment"), lines.append)
    assert lines[-1].endswith("with pip")


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ([], UvSettings()),
        (["global.index-url='https://a/simple'"], UvSettings((), {"UV_DEFAULT_INDEX": "https://a/simple"})),
        (["global.index_url='https://a/simple'"], UvSettings((), {"UV_DEFAULT_INDEX": "https://a/simple"})),
        (
            ["global.index-url='https://a/simple'", ":env:.index-url='https://b/simple'"],
            UvSettings((), {"UV_DEFAULT_INDEX": "https://b/simple"}),
        ),
        (
            [":env:.index-url='https://b/simple'", "global.index-url='https://a/simple'"],
            UvSettings((), {"UV_DEFAULT_INDEX": "https://b/simple"}),
        ),
        (["global.extra-index-url='file:///a file:///b'"], UvSettings((), {"UV_INDEX": "file:///a file:///b"})),
        (["global.extra-index-url='\\nfile:///a\\nfile:///b'"], UvSettings((), {"UV_INDEX": "file:///a file:///b"})),
        (["global.find-links='https://user:secret@a/wheels'"], None),
        (["install.find-links='/wheels'"], UvSettings(("--find-links", "/wheels"))),
        (["global.no-index='true'"], UvSettings(("--no-index",))),
        (["global.no-index='false'"], UvSettings()),
        (["global.trusted-host='a b'"], UvSettings(("--allow-insecure-host", "a", "--allow-insecure-host", "b"))),
        ([":env:.cert='/ca.pem'"], UvSettings((), {"SSL_CERT_FILE": "/ca.pem"})),
        (["global.timeout='2.5'"], UvSettings((), {"UV_HTTP_TIMEOUT": "2"})),
        (
            ["global.proxy='http://p:1'"],
            UvSettings((), dict.fromkeys(("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"), "http://p:1")),
        ),
        (["global.constraint='/c.txt'", "global.quiet='1'", "global.user='true'", "list.format='json'"], UvSettings()),
        (["global.keyring-provider='subprocess'"], None),
        (["global.use-feature='fast-deps'"], None),
        (["global.index-url=broken"], None),
    ],
)
def test_the_settings_of_pip_are_translated_or_pip_is_used(listing: list[str], expected: UvSettings | None) -> None:
    assert uv_settings(listing) == expected


def test_a_password_in_the_address_of_an_index_is_not_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    lock = tmp_path / "x.lock"
    lock.write_text(wheel(tmp_path / "wheels", "1.0"))
    recipe = Recipe(tmp_path / "environment", lock, "the environment")
    with pytest.raises(EnvironmentFailedError) as error:
        make(recipe, lambda line: None)
    assert "uv pip install " in recipe.log.read_text()
    assert "secret" not in recipe.log.read_text()
    assert "secret" not in str(error.value)


COMPILED_PACKAGES = {"cext": ("user",)}


def compiled_recipe(tmp_path: Path, wheelhouse: Path | None = None) -> Recipe:
    wheels = tmp_path / "wheels"
    text = wheel(wheels, "1.0") + wheel(wheels, "1.0", name="cext") + wheel(wheels, "1.0", "cext", name="user")
    lock = tmp_path / "x.lock"
    lock.write_text(text)
    folder = tmp_path / "environment"
    return Recipe(folder, lock, "the environment", compiled=COMPILED_PACKAGES, wheelhouse=wheelhouse)


def test_without_a_compiler_a_compiled_package_and_what_needs_it_are_left_out_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, lines = compiled_recipe(tmp_path), list[str]()
    monkeypatch.setattr(compiler, "lacking", lambda python: "no C compiler (cc)")
    make(recipe, lines.append)
    reason = "no C compiler (cc), which cext needs: install gcc and python3-dev"
    assert left_out(recipe.folder) == {"cext": reason, "user": reason}
    assert lines[-2:] == ["installing 1 packages of x.lock with uv", f"left out: cext, user: {reason}"] or lines[
        -2:
    ] == ["installing 1 packages of x.lock with pip", f"left out: cext, user: {reason}"]
    assert modules(recipe.folder) & {"tiny", "cext", "user"} == {"tiny"}
    assert is_current(recipe)
    lines.clear()
    make(recipe, lines.append)
    assert lines == []

    monkeypatch.setattr(compiler, "lacking", lambda python: None)
    assert not is_current(recipe)
    (recipe.folder / "in-use").touch()
    make(recipe, lines.append)
    assert lines[0] == "completing the environment: cext, user"
    assert (recipe.folder / "in-use").exists(), "another run may use what is there"
    assert left_out(recipe.folder) == {}
    assert modules(recipe.folder) >= {"tiny", "cext", "user"}
    monkeypatch.setattr(compiler, "lacking", lambda python: "no C compiler (cc)")
    assert is_current(recipe), "a complete environment stays, whatever happens to the compiler"


def test_a_wheel_that_was_compiled_elsewhere_takes_the_place_of_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "lacking", lambda python: "no C compiler (cc)")
    house = tmp_path / "house"
    recipe = compiled_recipe(tmp_path, house)
    shutil.copytree(tmp_path / "wheels", house)
    wheel(house, "1.0", name="cext")  # the same version with other bytes
    file = house / "cext-1.0-py3-none-any.whl"
    file.write_bytes(file.read_bytes() + b" ")
    make(recipe, lambda line: None)
    assert sorted(left_out(recipe.folder)) == ["cext", "user"]
    (house / COMPILED).write_text(f"cext==1.0 \\\n    --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n")
    make(recipe, lambda line: None)
    assert left_out(recipe.folder) == {}
    assert modules(recipe.folder) >= {"tiny", "cext", "user"}


def test_only_compiled_packages_get_hashes_from_the_wheelhouse(tmp_path: Path) -> None:
    house = tmp_path / "house"
    recipe = compiled_recipe(tmp_path, house)
    house.mkdir()
    (house / COMPILED).write_text("tiny==1.0 \\\n    --hash=sha256:0\ncext==2.0 \\\n    --hash=sha256:0\n")
    assert lock_text(recipe) == recipe.lock.read_text()


def test_hashes_are_added_to_the_same_version_only() -> None:
    lock = "a==1 ; python_version < '3.11' \\\n    --hash=x\nb==2 \\\n    --hash=y \\\n    --hash=z\n"
    assert with_hashes(lock, {}) == lock
    assert with_hashes(lock, {"b": "b==3 \\\n    --hash=w\n"}) == lock
    added = with_hashes(lock, {"b": "b==2 \\\n    --hash=w \\\n    --hash=y\n"})
    assert pins_of(added)[1] == ("b", "b==2 \\\n    --hash=y \\\n    --hash=z \\\n    --hash=w\n")
    assert part(lock, only=["a"]) == lock.partition("b==")[0]
    assert part(lock, without=["a"]) == "b==" + lock.partition("b==")[2]


@pytest.mark.needs("components")
def test_the_manifest_names_everything_that_needs_a_compiled_package() -> None:
    from tests.needs import need

    requires: dict[str, set[str]] = {}
    for metadata in Path(str(need("components"))).glob("lib/python3*/site-packages/*.dist-info/METADATA"):
        lines = metadata.read_text(errors="replace").splitlines()
        name = canonical(next(line for line in lines if line.startswith("Name: "))[6:])
        requires[name] = {
            canonical(
                line[15:].split(";")[0].split("[")[0].split("<")[0].split(">")[0].split("=")[0].split("!")[0].strip()
            )
            for line in lines
            if line.startswith("Requires-Dist: ") and "extra ==" not in line
        }
    for compiled, named in load().compiled.items():
        found = {compiled}
        while more := {name for name, needed in requires.items() if needed & found} - found:
            found |= more
        assert sorted(found - {compiled}) == sorted(named)


def test_after_an_installation_that_failed_for_want_of_space_the_next_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(home)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    lock = tmp_path / "x.lock"
    lock.write_text(wheel(tmp_path / "wheels", "1.0"))
    recipe = Recipe(home / "environment", lock, "the environment")
    try:
        with pytest.raises(EnvironmentFailedError, match="full"):
            make(recipe, lambda line: None)
        assert not is_current(recipe)
        subprocess.run(["mount", "-o", "remount,size=200m", str(home)], check=True)
        make(recipe, lambda line: None)
        assert is_current(recipe)
        assert "tiny" in modules(recipe.folder)
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_names_of_distributions_are_those_of_locks() -> None:
    assert [canonical(name) for name in ("radical.pilot", "PyYAML", "a__b")] == ["radical-pilot", "pyyaml", "a-b"]
    assert environment.pins is not None
