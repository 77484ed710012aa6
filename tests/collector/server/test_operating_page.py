"""The files for an installation, which the page about operating a collector shows, work as they are."""

from __future__ import annotations

import configparser
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard_client.schema import encode
from tests.collector.process import ROOT, Collector, batch, tool, wait_until
from tests.collector.samples import CASES, closing, manifest, record
from tests.needs import need

EXAMPLES = ROOT / "docs" / "examples" / "collector"
PROGRAM = "/opt/exaworks/bin/exaworks"
UNITS = sorted(file.name for file in EXAMPLES.glob("*.service"))


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(EXAMPLES / name)
    return parser


def arguments(name: str) -> list[str]:
    """Return what a unit passes to ``exaworks collector``."""
    program, group, *rest = shlex.split(unit(name)["Service"]["ExecStart"])
    assert (program, group) == (PROGRAM, "collector")
    return rest


@pytest.mark.needs("systemd")
@pytest.mark.parametrize(
    "name", sorted(file.name for file in EXAMPLES.iterdir() if file.suffix in (".service", ".timer"))
)
def test_systemd_accepts_the_units(name: str, tmp_path: Path) -> None:
    for file in EXAMPLES.iterdir():
        text = file.read_text().replace(PROGRAM, sys.executable).replace("User=exaworks", "User=daemon")
        (tmp_path / file.name).write_text(text)
    done = subprocess.run(
        [need("systemd"), "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert name not in done.stderr  # no warning about this unit


def test_the_commands_of_the_units_start_the_server_and_delete_old_data(tmp_path: Path) -> None:
    command, *options = arguments("exaworks-collector.service")
    assert command == "serve"
    served = Collector(tmp_path, *options)
    assert served.get("/readyz").status_code == 200
    name = options[options.index("--public-url") + 1].removeprefix("https://")
    assert served.session.get(served.url + "/", headers={"Host": name}, timeout=30).status_code == 200
    pruned = tool(tmp_path, *arguments("exaworks-collector-prune.service"))
    assert pruned.returncode == 0, pruned.stderr
    assert "of the audit log were deleted" in pruned.stdout
    assert served.stop() == 0


def test_all_units_use_the_same_folder_and_user() -> None:
    services = [unit(name)["Service"] for name in UNITS]
    assert {each["Environment"] for each in services} == {"EXAWORKS_HOME=/var/lib/exaworks-collector"}
    assert {each["User"] for each in services} == {"exaworks"}
    assert unit("exaworks-collector.service")["Service"]["StateDirectory"] == "exaworks-collector"


@pytest.mark.needs("caddy")
def test_pages_and_uploads_work_behind_the_documented_caddy(tmp_path: Path) -> None:
    options = arguments("exaworks-collector.service")[1:]
    served = Collector(tmp_path, *options)
    token = tool(tmp_path, "token", "new", "ornl", "--scope", "admin").stdout.strip()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = (EXAMPLES / "Caddyfile").read_text()
    for written, here in (
        ("\nstatus.example.org {", f"\nhttp://status.example.org:{port} {{\n\tbind 127.0.0.1"),
        ("127.0.0.1:8350", served.url.removeprefix("http://")),
    ):
        assert written in text, written
        text = text.replace(written, here)
    (tmp_path / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
    caddy = subprocess.Popen(
        [need("caddy"), "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.DEVNULL,
    )

    def accepts() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0 or caddy.poll() is not None

    try:
        assert wait_until(accepts, 30)
        headers = {"Authorization": f"Bearer {token}", "Host": "status.example.org", "Content-Type": "application/json"}

        def post(path: str, body: bytes) -> int:
            url = f"http://127.0.0.1:{port}{path}"
            return served.session.post(url, data=body, headers=headers, timeout=60).status_code

        sent = [record("proxied", case, output="x" * 200_000) for case in CASES]
        assert post("/api/v1/runs", encode(manifest("proxied"))) == 201
        assert post("/api/v1/records", batch(sent)) == 200
        assert post("/api/v1/runs/proxied/close", encode(closing(len(CASES)))) == 200
        assert post("/api/v1/records", b" " * 34_000_000) == 413
        page = served.session.get(f"http://127.0.0.1:{port}/runs/proxied", headers=headers, timeout=60)
        assert page.status_code == 200
    finally:
        caddy.terminate()
        caddy.wait(timeout=20)
    assert served.stop() == 0


def test_the_page_shows_every_file() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    for file in EXAMPLES.iterdir():
        assert f"examples/collector/{file.name}" in page, file.name
