"""Behind a proxy: its headers count only if it is trusted, only known host names are served, and nginx works."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from collector.web.addresses import forwarded_client, group_of, read_networks
from dashboard_client.schema import encode
from tests.collector.process import ROOT, Collector, batch, tool, wait_until
from tests.collector.samples import CASES, closing, manifest, record
from tests.needs import need

PROXIES = read_networks(["10.0.0.0/24", "fd00::/8"])


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("203.0.113.9,192.0.2.7 , 10.0.0.3", "192.0.2.7"),
        ("2001:db8::7, fd00::1", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, invented", None),
        ("10.0.0.3", None),
        ("", None),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(header: str, client: str | None) -> None:
    assert forwarded_client(header, PROXIES) == client


def test_addresses_of_one_ipv6_network_are_counted_together() -> None:
    assert group_of("2001:db8::1") == group_of("2001:db8::ffff:1") != group_of("2001:db8:0:1::1")
    assert group_of("::ffff:192.0.2.7") == group_of("192.0.2.7") != group_of("192.0.2.8")


@pytest.mark.parametrize("trusted", [False, True])
def test_forwarded_addresses_count_only_from_a_trusted_proxy(tmp_path: Path, trusted: bool) -> None:
    config = tmp_path / "collector.yaml"
    config.write_text("rates: {guesses_per_second: 0.001, guesses: 2}\n")
    options = ["--trusted-proxy", "127.0.0.1"] if trusted else []
    served = Collector(tmp_path, "--config", str(config), *options)
    codes = []
    for number in range(4):
        headers = {"Authorization": f"Bearer exw_{number:08x}_no", "X-Forwarded-For": f"192.0.2.{number}"}
        codes.append(served.session.get(served.url + "/", headers=headers, timeout=30).status_code)
    assert codes == ([401, 401, 401, 401] if trusted else [401, 401, 429, 429])
    assert served.stop() == 0


def test_only_the_names_of_the_server_are_served(tmp_path: Path) -> None:
    names = ["--public-url", "https://status.example.org", "--allowed-host", "Internal.example.org"]
    served = Collector(tmp_path, *names)
    for name in ("status.example.org", "STATUS.example.org:443", "internal.example.org", "localhost", "127.0.0.1:1"):
        assert served.session.get(served.url + "/", headers={"Host": name}, timeout=30).status_code == 200, name
    for name in ("evil.example.org", "status.example.org.evil", "", "[::1]evil"):
        answer = served.session.get(served.url + "/", headers={"Host": name, "Accept": "application/json"}, timeout=30)
        assert answer.status_code == 400, name
        assert "--allowed-host" in answer.json()["detail"]
    assert served.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trusted-proxy", "proxy.example.org"], "--trusted-proxy: 'proxy.example.org'"),
        (["--trusted-proxy", "10.0.0.1/8"], "has host bits set"),
        (["--public-url", "status.example.org"], "--public-url 'status.example.org' must be a scheme and a host"),
        (["--public-url", "https://example.org/status"], "A path is not supported"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name(tmp_path: Path, arguments: list[str], message: str) -> None:
    refused = tool(tmp_path, "serve", "--port", "0", *arguments)
    assert refused.returncode == 2
    assert message in refused.stderr


CONTAINER = {
    "${COLLECTOR_NAME}": "status.example.org",
    "listen 8443 ssl": "listen 127.0.0.1:{port} ssl",
    "/etc/nginx/tls/certificate.pem": "{folder}/certificate.pem",
    "/etc/nginx/tls/key.pem": "{folder}/key.pem",
    "/dev/stdout": "{folder}/access.log",
    "http://collector:8350": "{collector}",
}
PAGE = {
    "listen 443 ssl": "listen 127.0.0.1:{port} ssl",
    "/etc/ssl/status.example.org.pem": "{folder}/certificate.pem",
    "/etc/ssl/status.example.org.key": "{folder}/key.pem",
    "/var/log/nginx/exaworks-collector.log": "{folder}/access.log",
    "http://127.0.0.1:8350": "{collector}",
}
CONFIGURATIONS = {
    "containers/images/collector/proxy.conf.template": CONTAINER,
    "docs/examples/collector/nginx.conf": PAGE,
}
"""The configurations that the project documents, with what a test must change to run them."""


class Nginx:
    """A real nginx with a documented configuration, on the loopback interface."""

    def __init__(self, folder: Path, collector: str, configuration: str) -> None:
        nginx, openssl = need("nginx"), need("openssl")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        subject = ["-subj", "/CN=status.example.org", "-days", "1"]
        files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
        subprocess.run(command, check=True, capture_output=True)
        template = (ROOT / configuration).read_text()
        for written, here in CONFIGURATIONS[configuration].items():
            assert written in template, written
            template = template.replace(written, here.format(port=self.port, folder=folder, collector=collector))
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        user = f"user {folder.owner()};" if folder.owner() == "root" else ""
        (folder / "nginx.conf").write_text(
            f"daemon off; {user} pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n"
            f"events {{}}\nhttp {{ {temporary}\n{template} }}\n"
        )
        started = [nginx, "-e", f"{folder}/error.log", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        self.process = subprocess.Popen(started, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert wait_until(self._accepts, 30), self.process.communicate()[1] if self.process.poll() is not None else ""
        self.access_log = folder / "access.log"

    def _accepts(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0 or self.process.poll() is not None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        if self.process.stderr is not None:
            self.process.stderr.close()


@pytest.fixture(params=CONFIGURATIONS)
def behind_nginx(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Collector, Nginx]]:
    options = ["--public-url", "https://status.example.org", "--trusted-proxy", "127.0.0.1", "--private"]
    config = tmp_path / "collector.yaml"
    config.write_text("rates: {guesses_per_second: 0.001, guesses: 2}\n")
    served = Collector(tmp_path, *options, "--config", str(config))
    (tmp_path / "nginx").mkdir()
    nginx = Nginx(tmp_path / "nginx", served.url, request.param)
    yield served, nginx
    nginx.stop()
    assert served.stop() == 0


@pytest.mark.needs("nginx", "openssl")
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_pages_and_uploads_work_behind_a_documented_nginx_whose_log_has_no_token(
    behind_nginx: tuple[Collector, Nginx], tmp_path: Path
) -> None:
    served, nginx = behind_nginx
    url = f"https://127.0.0.1:{nginx.port}"
    valid = tool(tmp_path, "token", "new", "ornl", "--scope", "admin").stdout.strip()
    session = requests.Session()
    session.trust_env = False
    session.verify = False
    session.headers["Host"] = "status.example.org"
    with session:

        def post(path: str, body: bytes, token: str = valid) -> int:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            return session.post(url + path, data=body, headers=headers, timeout=60).status_code

        for number in range(4):  # one bad client behind the proxy
            codes = [post("/api/v1/runs", b"{}", f"exw_{number:08x}_no") for _ in range(2)]
        assert codes == [429, 429]
        sent = [record("proxied", case, output="x" * 200_000) for case in CASES]
        assert post("/api/v1/runs", encode(manifest("proxied"))) == 201
        assert post("/api/v1/records", batch(sent)) == 200
        assert post("/api/v1/runs/proxied/close", encode(closing(len(CASES)))) == 200
        assert post("/api/v1/records", b" " * 33_600_000) == 413
        assert post("/api/v1/records", b" " * 3_000_000, "wrong") in (401, 429)
        page = session.get(f"{url}/runs/proxied", headers={"Authorization": f"Bearer {valid}"}, timeout=60)
        assert page.status_code == 200
        assert "proxied" in page.text
        assert session.get(f"{url}/runs/proxied", params={"token": valid}, timeout=60).status_code == 200
        other = session.get(f"{url}/healthz", headers={"Host": "evil.example.org"}, timeout=60)
        assert other.status_code == 400
    assert served.get("/healthz").status_code == 200
    written = nginx.access_log.read_text()
    assert "/runs/proxied" in written
    assert valid not in written
