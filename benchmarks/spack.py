"""Measure the concretization of this project's bundle and of builtin's, cold and warm: python -m benchmarks.spack

Needs a Spack (``$SPACK_ROOT`` or PATH) with the builtin repository as a local path. Both bundles use the packages of
Debian 12 as externals. Compare figures only within one run. With ``--cache DIR --environment DIR`` the concretized
environment is also installed from the build cache, which must have all its packages, into an empty tree; the time is
compared with that of a bare ``tar`` that unpacks the same archives.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.load import Watch
from benchmarks.results import Cell, publish

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = ROOT / "spack_repo" / "exaworks"
DEBIAN = ROOT / "spack_repo" / "scopes" / "debian12"
RUST = {"rust", "rust-bootstrap"}
GZIP = b"\x1f\x8b"


def spack_python(program: str, code: str) -> str:
    done = subprocess.run([program, "python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def configure(home: Path, repositories: dict[str, str]) -> dict[str, str]:
    """Write a separate configuration with empty caches, and return the environment variables that select it."""
    for folder in ("user", "system", "cache"):
        (home / folder).mkdir(parents=True)
    (home / "user" / "repos.yaml").write_text(json.dumps({"repos": repositories}))
    config = {"misc_cache": str(home / "misc"), "install_tree": {"root": str(home / "installed")}}
    (home / "user" / "config.yaml").write_text(json.dumps({"config": config}))
    concretizer = {"reuse": False, "concretization_cache": {"enable": False}}
    (home / "user" / "concretizer.yaml").write_text(json.dumps({"concretizer": concretizer}))
    packages = YAML(typ="safe").load(DEBIAN / "packages.yaml")["packages"]
    packages.pop("openjdk")  # builtin's stc needs Java 11, which Debian does not have
    (home / "user" / "packages.yaml").write_text(json.dumps({"packages": packages}))
    environ = {name: value for name, value in os.environ.items() if name != "SPACK_ENV"}
    return environ | {
        "SPACK_USER_CONFIG_PATH": str(home / "user"),
        "SPACK_SYSTEM_CONFIG_PATH": str(home / "system"),
        "SPACK_USER_CACHE_PATH": str(home / "cache"),
    }


def concretize(program: str, environ: dict[str, str]) -> tuple[float, list[str]]:
    """Concretize the bundle once, and return the time in seconds and the names of the nodes."""
    before = time.perf_counter()
    done = subprocess.run(
        [program, "spec", "--json", "exaworks"], env=environ, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - before
    if done.returncode:
        sys.exit(f"spack spec exaworks failed:\n{done.stderr[-2000:]}")
    return seconds, [node["name"] for node in json.loads(done.stdout)["spec"]["nodes"]]


def reinstall(program: str, repositories: dict[str, str], cache: Path, environment: Path, home: Path) -> None:
    """Install an environment from a build cache into an empty tree, and print its time and that of tar."""
    environ = configure(home, repositories)
    mirror = {"url": cache.resolve().as_uri(), "binary": True, "source": False, "signed": False}
    (home / "user" / "mirrors.yaml").write_text(json.dumps({"mirrors": {"cache": mirror}}))
    (home / "user" / "bootstrap.yaml").write_text(json.dumps({"bootstrap": {"enable": True}}))
    (home / "environment").mkdir()
    document = YAML(typ="safe").load(environment / "spack.yaml")
    document["spack"].pop("repos", None)
    document["spack"].setdefault("config", {})["install_tree"] = {"root": str(home / "installed")}
    (home / "environment" / "spack.yaml").write_text(json.dumps(document))
    shutil.copy(environment / "spack.lock", home / "environment" / "spack.lock")
    nodes = json.loads((environment / "spack.lock").read_text())["concrete_specs"].values()
    packages = sum("external" not in node for node in nodes)
    before = time.perf_counter()
    done = subprocess.run(
        [program, "-e", str(home / "environment"), "install", "--cache-only"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - before
    if done.returncode:
        sys.exit(f"spack install --cache-only failed:\n{(done.stdout + done.stderr)[-2000:]}")
    archives = [path for path in (cache / "blobs").rglob("*") if path.is_file() and path.read_bytes()[:2] == GZIP]
    (home / "bare").mkdir()
    before = time.perf_counter()
    for archive in archives:
        subprocess.run(["tar", "-xzf", archive, "-C", home / "bare"], capture_output=True, check=False)
    bare = time.perf_counter() - before
    print(f"from the build cache: {packages} packages in {seconds:.1f} s, {seconds / packages:.2f} s each")
    print(f"tar alone, {len(archives)} archives: {bare:.1f} s; ratio {seconds / bare:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--warm", type=int, default=3, metavar="N", help="number of warm concretizations; the fastest counts"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="a build cache to install from")
    parser.add_argument("--environment", type=Path, metavar="DIR", help="the concretized environment to install")
    options = parser.parse_args()
    if (options.cache is None) != (options.environment is None):
        parser.error("give both --cache and --environment, or neither")
    warm, watch = options.warm, Watch()
    root = os.environ.get("SPACK_ROOT")
    program = str(Path(root, "bin", "spack")) if root else shutil.which("spack")
    if program is None:
        sys.exit("Spack was not found: set SPACK_ROOT, or put spack on PATH")
    builtin = spack_python(program, "import spack.repo; print(spack.repo.PATH.get_repo('builtin').root)")
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, repositories in {
            "builtin": {"builtin": builtin},
            "exaworks": {"exaworks": str(REPOSITORY), "builtin": builtin},
        }.items():
            environ = configure(Path(scratch) / name, repositories)
            cold, nodes = concretize(program, environ)
            best = min(concretize(program, environ)[0] for _ in range(warm))
            figures[name] = {"cold": cold, "warm": best, "nodes": len(nodes), "rust": bool(RUST & set(nodes))}
        rows: list[list[Cell]] = [
            [name, each["cold"], each["warm"], each["nodes"], "yes" if each["rust"] else "no"]
            for name, each in figures.items()
        ]
        ratios = [figures["exaworks"][kind] / figures["builtin"][kind] for kind in ("cold", "warm")]
        rows.append(["exaworks / builtin", *ratios, None, None])
        publish(
            "spack", ("bundle", "cold s", "warm s", "nodes", "Rust"), rows, watch.load(), times=("cold s", "warm s")
        )
        if options.cache:
            repositories = {"exaworks": str(REPOSITORY), "builtin": builtin}
            reinstall(program, repositories, options.cache, options.environment, Path(scratch) / "reinstalled")


if __name__ == "__main__":
    main()
