"""The collector's compose file as it is: a result goes in through TLS into PostgreSQL, is shown, and is in the dump.

Database and proxy are stand-ins made of Debian's packages, under the names that the compose file has.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from dashboard_client.upload import push
from tests.containers.yard import BASE, ROOT, Yard, answers
from tests.dashboard_client.samples import RUN_ID, finished_run
from tests.needs import need

pytestmark = [pytest.mark.long, pytest.mark.needs("podman", "buildah", "debootstrap", "podman-compose", "openssl")]

DEFINITIONS = ROOT / "containers/images/collector"
STAND_INS = {"postgres": "postgres", "nginx-unprivileged": "proxy"}
NAME = "localhost"


def test_a_result_goes_through_tls_into_postgresql_and_into_the_dump(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if yard.engine.helpers() is None:
        pytest.skip("podman's containers cannot find each other by name here: install netavark and aardvark-dns")
    yard.build("collector")
    stand_ins(yard)
    port = folder(tmp_path)
    url = f"https://{NAME}:{port}"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "tls/certificate.pem"))
    with up(yard, tmp_path, url) as compose:
        made = yard.engine.run(*compose, "exec", "-T", "collector", "exaworks", "collector", "token", "new", "*")
        assert made.returncode == 0, made.stderr
        report = push(finished_run(tmp_path / "runs"), url, made.stdout.strip())
        assert report.sent == report.total > 0, report
        assert RUN_ID in requests.get(f"{url}/runs/{RUN_ID}", timeout=10).text
        published = yard.engine.run("podman", "ps", "--format={{.Ports}}").stdout.split()
        assert published == [f"0.0.0.0:{port}->8443/tcp"], "nothing but the proxy is reachable"
        done = yard.engine.run(*compose, "--profile", "backup", "run", "--rm", "-T", "backup")
        assert done.returncode == 0, done.stderr
        (dump,) = (tmp_path / "backups").glob("collector-*Z.dump")
    look = ("--entrypoint=pg_restore", f"--volume={tmp_path}/backups:/backups:ro")
    held = yard.run(image_of("database"), "--list", f"/backups/{dump.name}", options=look).stdout
    assert re.search(r"TABLE DATA public \w*record", held), held


def image_of(service: str) -> str:
    found = re.search(rf"^  {service}:\n    image: (\S+)$", (DEFINITIONS / "compose.yaml").read_text(), re.MULTILINE)
    assert found
    return found[1]


def stand_ins(yard: Yard) -> None:
    """Build what stands for the images that come from a registry, unless the store has them."""
    for service in ("database", "proxy"):
        image = image_of(service)
        if yard.engine.run("podman", "image", "exists", image).returncode != 0:
            kind = next(kind for name, kind in STAND_INS.items() if f"/{name}:" in image)
            argv = ["buildah", "bud", "--isolation=chroot", "--format=docker", f"--build-arg=BASE={BASE}"]
            done = yard.engine.run(*argv, f"--tag={image}", str(Path(__file__).parent / "stand_ins" / kind), limit=600)
            assert done.returncode == 0, done.stderr[-2000:]


def folder(place: Path) -> int:
    """Lay beside the compose file what its head asks for, and return the port that is published."""
    for path in DEFINITIONS.glob("*.*"):
        if path.suffix != ".def" and not path.name.startswith("Containerfile"):
            shutil.copy(path, place)
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
    (place / ".env").write_text(f"POSTGRES_PASSWORD=secret\nCOLLECTOR_NAME={NAME}\nCOLLECTOR_PORT={port}\n")
    (place / "tls").mkdir()
    (place / "backups").mkdir()
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2", "-nodes"]
    made = ["-newkey", "rsa:2048", "-keyout", str(place / "tls/key.pem"), "-out", str(place / "tls/certificate.pem")]
    subprocess.run([need("openssl"), "req", "-x509", *subject, *made], check=True, capture_output=True)
    (place / "tls/key.pem").chmod(0o644)  # of a throw-away name, for the proxy's user
    return port


@contextmanager
def up(yard: Yard, place: Path, url: str) -> Iterator[list[str]]:
    """Have the set running, and seen to answer; give the beginning of podman-compose's command line."""
    compose = [need("podman-compose"), "--file", str(place / "compose.yaml")]
    deadline = time.monotonic() + 120
    try:
        done = yard.engine.run(*compose, "up", "--detach")
        assert done.returncode == 0, done.stderr
        while not answers(f"{url}/readyz"):
            assert time.monotonic() < deadline, yard.engine.run(*compose, "ps").stdout
        yield compose
    finally:
        yard.engine.run(*compose, "--profile", "backup", "down", "--volumes")
