"""Time the concretization of our bundle beside builtin's, cold and warm: python benchmarks/spack.py [--warm 3]

Needs a Spack (``$SPACK_ROOT`` or PATH) whose configuration has the builtin repository as a local path. Both use the
same externals, those of Debian 12; figures of one run may be compared with each other, not with another machine's.
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

ROOT = Path(__file__).resolve().parents[1]
OURS = ROOT / "spack_repo" / "exaworks"
DEBIAN = ROOT / "spack_repo" / "scopes" / "debian12"
RUST = {"rust", "rust-bootstrap"}


def ask(program: str, code: str) -> str:
    done = subprocess.run([program, "python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def settle(home: Path, repositories: dict[str, str]) -> dict[str, str]:
    """Make a configuration of its own, with empty caches, and return the environment that names it."""
    for folder in ("user", "system", "cache"):
        (home / folder).mkdir(parents=True)
    (home / "user" / "repos.yaml").write_text(json.dumps({"repos": repositories}))
    config = {"misc_cache": str(home / "misc"), "install_tree": {"root": str(home / "installed")}}
    (home / "user" / "config.yaml").write_text(json.dumps({"config": config}))
    concretizer = {"reuse": False, "concretization_cache": {"enable": False}}
    (home / "user" / "concretizer.yaml").write_text(json.dumps({"concretizer": concretizer}))
    packages = YAML(typ="safe").load(DEBIAN / "packages.yaml")["packages"]
    packages.pop("openjdk")  # builtin's stc is held to Java 11, which Debian does not have
    (home / "user" / "packages.yaml").write_text(json.dumps({"packages": packages}))
    environ = {name: value for name, value in os.environ.items() if name != "SPACK_ENV"}
    return environ | {
        "SPACK_USER_CONFIG_PATH": str(home / "user"),
        "SPACK_SYSTEM_CONFIG_PATH": str(home / "system"),
        "SPACK_USER_CACHE_PATH": str(home / "cache"),
    }


def concretize(program: str, environ: dict[str, str]) -> tuple[float, list[str]]:
    """Return (seconds, names of the nodes) of one concretization."""
    before = time.perf_counter()
    done = subprocess.run(
        [program, "spec", "--json", "exaworks"], env=environ, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - before
    if done.returncode:
        sys.exit(f"spack spec exaworks failed:\n{done.stderr[-2000:]}")
    return seconds, [node["name"] for node in json.loads(done.stdout)["spec"]["nodes"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--warm", type=int, default=3, metavar="N", help="warm concretizations, of which the best counts"
    )
    warm = parser.parse_args().warm
    root = os.environ.get("SPACK_ROOT")
    program = str(Path(root, "bin", "spack")) if root else shutil.which("spack")
    if program is None:
        sys.exit("no Spack: name one in SPACK_ROOT or put it on PATH")
    builtin = ask(program, "import spack.repo; print(spack.repo.PATH.get_repo('builtin').root)")
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, repositories in {
            "builtin": {"builtin": builtin},
            "ours": {"exaworks": str(OURS), "builtin": builtin},
        }.items():
            environ = settle(Path(scratch) / name, repositories)
            cold, nodes = concretize(program, environ)
            best = min(concretize(program, environ)[0] for _ in range(warm))
            figures[name] = {"cold": cold, "warm": best, "nodes": len(nodes), "rust": bool(RUST & set(nodes))}
            told = figures[name]
            print(
                f"{name:8} cold {cold:6.1f} s   warm {best:6.1f} s   {told['nodes']:4} nodes   "
                f"Rust {'yes' if told['rust'] else 'no'}",
                flush=True,
            )
    for kind in ("cold", "warm"):
        print(f"ours / builtin, {kind}: {figures['ours'][kind] / figures['builtin'][kind]:.2f}")


if __name__ == "__main__":
    main()
