"""The collector's compose file in use: a result arrives through TLS in PostgreSQL, is displayed, and is in the dump.

The images of database and proxy are replaced by stand-ins from Debian packages, with the names in the compose file.
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
from tests.containers.image_store import BASE, ROOT, ImageStore, answers
from tests.dashboard_client.samples import RUN_ID, finished_run
from tests.needs import need

pytestmark = [pytest.mark.long, pytest.mark.needs("podman", "buildah", "debootstrap", "podman-compose", "openssl")]

DEFINITIONS = ROOT / "containers/images/collector"
STAND_INS = {"postgres": "postgres", "nginx-unprivileged": "proxy"}
NAME = "localhost"


def test_a_result_goes_through_tls_into_postgresql_and_into_the_dump(
    image_store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if image_store.engine.helpers() is None:
        pytest.skip("podman's containers cannot connect by name: install netavark and aardvark-dns")
    image_store.build("collector")
    build_stand_ins(image_store)
    port = prepare_folder(tmp_path)
    url = f"https://{NAME}:{port}"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "tls/certificate.pem"))
    with up(image_store, tmp_path, url) as compose:
        new_token = ("exaworks", "collector", "token", "new", "*")
        token = image_store.engine.run(*compose, "exec", "-T", "collector", *new_token)
        assert token.returncode == 0, token.stderr
        report = push(finished_run(tmp_path / "runs"), url, token.stdout.strip())
        assert report.sent == report.total > 0, report
        assert RUN_ID in requests.get(f"{url}/runs/{RUN_ID}", timeout=10).text
        published = image_store.engine.run("podman", "ps", "--format={{.Ports}}").stdout.split()
        assert published == [f"0.0.0.0:{port}->8443/tcp"], "only the proxy must be reachable"
        done = image_store.engine.run(*compose, "--profile", "backup", "run", "--rm", "-T", "backup")
        assert done.returncode == 0, done.stderr
        (dump,) = (tmp_path / "backups").glob("collector-*Z.dump")
    options = ("--entrypoint=pg_restore", f"--volume={tmp_path}/backups:/backups:ro")
    contents = image_store.run(image_of("database"), "--list", f"/backups/{dump.name}", options=options).stdout
    assert re.search(r"TABLE DATA public \w*record", contents), contents


def image_of(service: str) -> str:
    match = re.search(rf"^  {service}:\n    image: (\S+)$", (DEFINITIONS / "compose.yaml").read_text(), re.MULTILINE)
    assert match
    return match[1]


def build_stand_ins(image_store: ImageStore) -> None:
    """Build the stand-ins for the images from a registry, unless the store has them."""
    for service in ("database", "proxy"):
        image = image_of(service)
        if image_store.engine.run("podman", "image", "exists", image).returncode != 0:
            kind = next(kind for name, kind in STAND_INS.items() if f"/{name}:" in image)
            argv = ["buildah", "bud", "--isolation=chroot", "--format=docker", f"--build-arg=BASE={BASE}"]
            done = image_store.engine.run(
                *argv, f"--tag={image}", str(Path(__file__).parent / "build_stand_ins" / kind), limit=600
            )
            assert done.returncode == 0, done.stderr[-2000:]


def prepare_folder(folder: Path) -> int:
    """Write the compose file and the files that it needs into a folder, and return the published port."""
    for path in DEFINITIONS.glob("*.*"):
        if path.suffix != ".def" and not path.name.startswith("Containerfile"):
            shutil.copy(path, folder)
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
    (folder / ".env").write_text(f"POSTGRES_PASSWORD=secret\nCOLLECTOR_NAME={NAME}\nCOLLECTOR_PORT={port}\n")
    (folder / "tls").mkdir()
    (folder / "backups").mkdir()
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2", "-nodes"]
    files = ["-newkey", "rsa:2048", "-keyout", str(folder / "tls/key.pem"), "-out", str(folder / "tls/certificate.pem")]
    subprocess.run([need("openssl"), "req", "-x509", *subject, *files], check=True, capture_output=True)
    (folder / "tls/key.pem").chmod(0o644)  # the proxy's user has to read this key, which is only for the test
    return port


@contextmanager
def up(image_store: ImageStore, folder: Path, url: str) -> Iterator[list[str]]:
    """Start the set, wait until it answers, and yield the first arguments of podman-compose's command line."""
    compose = [need("podman-compose"), "--file", str(folder / "compose.yaml")]
    deadline = time.monotonic() + 120
    try:
        done = image_store.engine.run(*compose, "up", "--detach")
        assert done.returncode == 0, done.stderr
        while not answers(f"{url}/readyz"):
            assert time.monotonic() < deadline, image_store.engine.run(*compose, "ps").stdout
        yield compose
    finally:
        image_store.engine.run(*compose, "--profile", "backup", "down", "--volumes")
