"""Mail over an encrypted connection: a server with STARTTLS and a login, as sites run them, on this machine."""

from __future__ import annotations

import base64
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.notify.mail import PASSWORD_FILE, SENDER, SMTP, STARTTLS, USER, send_mail

pytestmark = pytest.mark.needs("openssl")

ACCOUNT = ("status@example.org", "pass word: 1 \\ %")
TEST = {"event": "test", "about": "A test."}


class Mailbox(socketserver.ThreadingTCPServer):
    """A mail server that takes messages only after STARTTLS and a login, and keeps what it received."""

    daemon_threads = True

    def __init__(self, certificate: Path, method: str) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        self.method = method
        self.clear: list[bytes] = []
        self.messages: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Session(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        if not Dialogue(self.server, self.rfile, self.wfile, encrypted=False).run():
            return
        try:
            secured = self.server.context.wrap_socket(self.connection, server_side=True)
        except OSError:  # the client does not trust the certificate
            return
        with secured, secured.makefile("rb") as reading, secured.makefile("wb", buffering=0) as writing:
            Dialogue(self.server, reading, writing, encrypted=True).run()


class Dialogue:
    """The commands of one connection, before or after it is encrypted."""

    def __init__(self, server: Mailbox, reading: Any, writing: Any, *, encrypted: bool) -> None:
        self.server, self.reading, self.writing = server, reading, writing
        self.encrypted, self.logged_in = encrypted, False

    def run(self) -> bool:
        """Answer commands until the end; return whether encryption was requested."""
        while line := self.reading.readline():
            if not self.encrypted:
                self.server.clear.append(line)
            command = line.split()[0].upper() if line.split() else b""
            if command == b"STARTTLS":
                self._answer("220 go on")
                return True
            if command == b"QUIT":
                self._answer("221 bye")
                break
            if command == b"DATA" and self.logged_in:
                self._answer("354 go on")
                parts = []
                while (part := self.reading.readline()) != b".\r\n":
                    parts.append(part.decode())
                self.server.messages.append("".join(parts))
            self._answer(self._status(command, line))
        return False

    def _status(self, command: bytes, line: bytes) -> str:
        if command == b"EHLO":
            return f"250 {f'AUTH {self.server.method}' if self.encrypted else 'STARTTLS'}"
        if command == b"AUTH":
            self.logged_in = self._login(line.split()[1:]) == ACCOUNT
            return "235 welcome" if self.logged_in else "535 wrong account or password"
        return "250 fine" if self.logged_in else "530 log in first"

    def _login(self, words: list[bytes]) -> tuple[str, str]:
        if words[0] == b"PLAIN":
            _, name, password = base64.b64decode(words[1]).decode().split("\0")
            return name, password
        name = base64.b64decode(words[1] if len(words) > 1 else self._ask("334 VXNlcm5hbWU6")).decode()
        return name, base64.b64decode(self._ask("334 UGFzc3dvcmQ6")).decode()

    def _ask(self, line: str) -> bytes:
        self._answer(line)
        answer: bytes = self.reading.readline()
        return answer

    def _answer(self, line: str) -> None:
        first = "250-here\r\n" if line.startswith(("250 AUTH", "250 STARTTLS")) else ""
        self.writing.write(f"{first}{line}\r\n".encode())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=mail"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(params=["PLAIN", "LOGIN"])
def mailbox(
    request: pytest.FixtureRequest, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mailbox]:
    """A mail server whose certificate is trusted, and the environment of a collector that has an account there."""
    (tmp_path / "password").write_text(f"{ACCOUNT[1]}\n", encoding="utf-8")
    with Mailbox(certificate, request.param) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        monkeypatch.setenv(SMTP, f"127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv(SENDER, "status@example.org")
        monkeypatch.setenv(STARTTLS, "yes")
        monkeypatch.setenv(USER, ACCOUNT[0])
        monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
        yield server
        server.shutdown()


def test_a_message_is_sent_after_a_login_on_an_encrypted_connection(mailbox: Mailbox) -> None:
    assert send_mail("mailto:ops@example.org", TEST) is None
    (message,) = mailbox.messages
    assert "From: status@example.org" in message
    assert "To: ops@example.org" in message
    assert message.rstrip().endswith("A test.")
    assert [line.split()[0].upper() for line in mailbox.clear] == [b"EHLO", b"STARTTLS"], "more was sent in the clear"


def test_a_wrong_password_is_an_error_that_does_not_contain_it(
    mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("a-wrong-one")
    error = send_mail("mailto:ops@example.org", TEST)
    assert error is not None
    assert "535" in error
    assert "a-wrong-one" not in error
    assert mailbox.messages == []


def test_a_server_whose_certificate_is_not_trusted_gets_no_password(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    error = send_mail("mailto:ops@example.org", TEST)
    assert error is not None
    assert "CERTIFICATE_VERIFY_FAILED" in error
    assert mailbox.messages == []
    assert [line.split()[0].upper() for line in mailbox.clear] == [b"EHLO", b"STARTTLS"]


def test_a_name_that_the_certificate_does_not_have_is_refused(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SMTP, f"localhost:{mailbox.server_address[1]}")
    error = send_mail("mailto:ops@example.org", TEST)
    assert error is not None
    assert "CERTIFICATE_VERIFY_FAILED" in error
    assert mailbox.messages == []


@pytest.mark.parametrize("address", ["mail.example.org:x", "[::1", ":25", "mail.example.org:99999"])
def test_an_address_that_is_none_is_an_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SMTP, address)
    error = send_mail("mailto:ops@example.org", TEST)
    assert error is not None
    assert "is not host:port" in error
