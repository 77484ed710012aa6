"""A registry of images on loopback: as much of OCI's distribution protocol as a push and a pull take."""

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
    """What was pushed: blobs by digest, and manifests by repository and tag. A closed one wants a login."""

    def __init__(self, folder: Path, *, closed: bool = False) -> None:
        self.folder = folder
        self.closed = closed
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        """Kind and content, by repository and tag, and by repository and digest."""
        self.port = 0

    def blob(self, digest: str) -> Path:
        return self.folder / digest.replace(":", "-")

    @property
    def settings(self) -> Path:
        """A file for CONTAINERS_REGISTRIES_CONF that lets an engine speak plain HTTP with this registry."""
        path = self.folder / "registries.conf"
        path.write_text(f'[[registry]]\nlocation = "127.0.0.1:{self.port}"\ninsecure = true\n')
        return path


@contextmanager
def serving(folder: Path, *, closed: bool = False) -> Iterator[Registry]:
    """Serve a registry that keeps its blobs in a folder."""
    registry = Registry(folder, closed=closed)

    class Handler(_Handler):
        held = registry

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: Registry

    def do_GET(self) -> None:
        if self.held.closed:
            self._say(401, {"WWW-Authenticate": 'Basic realm="test"'}, _error("UNAUTHORIZED"))
        elif self.path in ("/v2", "/v2/"):
            self._say(200, {})
        elif blob := re.fullmatch(r"/v2/.+/blobs/(sha256:\w+)", self.path):
            path = self.held.blob(blob[1])
            if path.exists():
                self._say(200, {"Docker-Content-Digest": blob[1]}, path.read_bytes())
            else:
                self._say(404, {}, _error("BLOB_UNKNOWN"))
        elif (named := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path)) and named.groups() in self.held.manifests:
            kind, content = self.held.manifests[named[1], named[2]]
            self._say(200, {"Content-Type": kind, "Docker-Content-Digest": _digest(content)}, content)
        else:
            self._say(404, {}, _error("MANIFEST_UNKNOWN"))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._body()
        self._say(202, {"Location": f"{UPLOAD}{uuid.uuid4().hex}"})

    def do_PATCH(self) -> None:
        with self._upload().open("ab") as stream:
            stream.write(self._body())
            size = stream.tell()
        self._say(202, {"Location": self.path, "Range": f"0-{size - 1}"})

    def do_PUT(self) -> None:
        body = self._body()
        if named := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
            kept = (self.headers["Content-Type"], body)
            self.held.manifests[named[1], named[2]] = self.held.manifests[named[1], _digest(body)] = kept
            self._say(201, {"Docker-Content-Digest": _digest(body)})
            return
        path = self._upload()
        content = (path.read_bytes() if path.exists() else b"") + body
        if not self.path.replace("%3A", ":").endswith(f"digest={_digest(content)}"):
            self._say(400, {}, _error("DIGEST_INVALID"))
            return
        self.held.blob(_digest(content)).write_bytes(content)
        path.unlink(missing_ok=True)
        self._say(201, {"Docker-Content-Digest": _digest(content)})

    def _upload(self) -> Path:
        return self.held.folder / self.path.removeprefix(UPLOAD).partition("?")[0]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _say(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _error(code: str) -> bytes:
    return f'{{"errors": [{{"code": "{code}", "message": "{code.lower().replace("_", " ")}"}}]}}'.encode()
