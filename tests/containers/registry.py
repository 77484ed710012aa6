"""An image registry on the loopback interface, with the parts of OCI's protocol that a push and a pull use."""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

UPLOAD = "/v2/uploads/"


class Registry:
    """The pushed content: blobs by digest, and manifests by repository and tag. ``closed``: it requires a login."""

    def __init__(self, folder: Path, *, closed: bool = False) -> None:
        self.folder = folder
        self.closed = closed
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        """Media type and content, by repository and tag, and by repository and digest."""
        self.port = 0

    def blob(self, digest: str) -> Path:
        return self.folder / digest.replace(":", "-")

    @property
    def settings(self) -> Path:
        """A file for CONTAINERS_REGISTRIES_CONF, so that an engine uses plain HTTP with this registry."""
        path = self.folder / "registries.conf"
        path.write_text(f'[[registry]]\nlocation = "127.0.0.1:{self.port}"\ninsecure = true\n')
        return path


@contextmanager
def serving(folder: Path, *, closed: bool = False) -> Iterator[Registry]:
    """Run a registry that stores its blobs in a folder."""
    content = Registry(folder, closed=closed)

    class Handler(_Handler):
        registry = content

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    content.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield content
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: Registry

    def do_GET(self) -> None:
        if self.registry.closed:
            self._respond(401, {"WWW-Authenticate": 'Basic realm="test"'}, _error("UNAUTHORIZED"))
        elif self.path in ("/v2", "/v2/"):
            self._respond(200, {})
        elif blob := re.fullmatch(r"/v2/.+/blobs/(sha256:\w+)", self.path):
            path = self.registry.blob(blob[1])
            if path.exists():
                self._respond(200, {"Docker-Content-Digest": blob[1]}, path.read_bytes())
            else:
                self._respond(404, {}, _error("BLOB_UNKNOWN"))
        elif (
            named := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path)
        ) and named.groups() in self.registry.manifests:
            kind, content = self.registry.manifests[named[1], named[2]]
            self._respond(200, {"Content-Type": kind, "Docker-Content-Digest": _digest(content)}, content)
        else:
            self._respond(404, {}, _error("MANIFEST_UNKNOWN"))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._body()
        self._respond(202, {"Location": f"{UPLOAD}{uuid.uuid4().hex}"})

    def do_PATCH(self) -> None:
        with self._upload().open("ab") as stream:
            stream.write(self._body())
            size = stream.tell()
        self._respond(202, {"Location": self.path, "Range": f"0-{size - 1}"})

    def do_PUT(self) -> None:
        body = self._body()
        if named := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
            manifest = (self.headers["Content-Type"], body)
            self.registry.manifests[named[1], named[2]] = self.registry.manifests[named[1], _digest(body)] = manifest
            self._respond(201, {"Docker-Content-Digest": _digest(body)})
            return
        path = self._upload()
        content = (path.read_bytes() if path.exists() else b"") + body
        if not self.path.replace("%3A", ":").endswith(f"digest={_digest(content)}"):
            self._respond(400, {}, _error("DIGEST_INVALID"))
            return
        self.registry.blob(_digest(content)).write_bytes(content)
        path.unlink(missing_ok=True)
        self._respond(201, {"Docker-Content-Digest": _digest(content)})

    def _upload(self) -> Path:
        return self.registry.folder / self.path.removeprefix(UPLOAD).partition("?")[0]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _respond(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _error(code: str) -> bytes:
    return f'{{"errors": [{{"code": "{code}", "message": "{code.lower().replace("_", " ")}"}}]}}'.encode()
