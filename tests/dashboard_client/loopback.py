"""A small collector on the loopback interface that stores what it receives and can be set to fail."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from dashboard_client.schema import Closing, Manifest, Record, digest

TOKEN = "token-of-the-site-0123456789"


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Fault:
    """A fault in the answer to one request.

    With ``store`` the request takes effect first. ``status`` is the status of the answer. ``cut`` is the number of
    bytes of the real answer that are sent before the connection is closed.
    """

    store: bool = False
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None


@dataclass
class FakeCollector:
    """Counts each record_id once, as the real collector does."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    lines: list[bytes] = field(default_factory=list)
    closings: dict[int, str] = field(default_factory=dict)
    stored_times: int = 0
    reject: set[str] = field(default_factory=set)
    limit: int | None = None

    def paths(self) -> list[str]:
        return [request.path.partition("?")[0] for request in self.requests]

    def store(self, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/api/v1/runs":
            manifest = msgspec.json.decode(body, type=Manifest)
            if manifest.closed is not None:
                return 422, problem(422, "closed must be absent")
            ours, new = digest(manifest), manifest.run_id not in self.runs
            if self.runs.setdefault(manifest.run_id, ours) != ours:
                conflict = problem(409, "the run is stored with another manifest")
                return 409, conflict | {"stored_digest": self.runs[manifest.run_id], "sent_digest": ours}
            return (201 if new else 200), {"run_id": manifest.run_id, "digest": ours, "stored": new}
        if path == "/api/v1/records":
            if self.limit is not None and len(body) > self.limit:
                return 413, problem(413, "too large")
            return 200, self.store_records(body)
        closing = msgspec.json.decode(body, type=Closing)
        self.closings[closing.sequence] = digest(closing)
        return 200, {"run_id": path.split("/")[4], "digest": digest(closing), "sequence": closing.sequence}

    def store_records(self, body: bytes) -> dict[str, Any]:
        acknowledged, rejected = [], []
        for index, raw in enumerate(msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["records"]):
            record = msgspec.json.decode(raw, type=Record)
            if record.case_id in self.reject:
                reason = problem(422, "rejected by the test")
                rejected.append({"index": index, "record_id": record.record_id, "problem": reason})
                continue
            if record.record_id not in self.records:
                self.stored_times += 1
            self.records[record.record_id] = hashlib.sha256(raw).hexdigest()
            self.lines.append(bytes(raw))
            acknowledged.append({"record_id": record.record_id, "digest": digest(record)})
        return {"acknowledged": acknowledged, "rejected": rejected}


def problem(status: int, detail: str) -> dict[str, Any]:
    return {"type": "urn:exaworks:problem:x", "title": "Refused", "status": status, "detail": detail}


@contextmanager
def serving(collector: FakeCollector) -> Iterator[FakeCollector]:
    """Serve the collector on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.requests.append(Request(self.path, dict(self.headers), body))
            fault = collector.faults.pop(0) if collector.faults else None
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer(401, json.dumps(problem(401, "no such token")).encode())
                return
            if fault is None or fault.store:
                status, tree = collector.store(self.path, body)
            if fault is None:
                kind = "application/json" if status < 400 else "application/problem+json"
                self.answer(status, json.dumps(tree).encode(), {"Content-Type": kind})
            elif fault.status is not None:
                self.answer(fault.status, fault.body, fault.headers)
            else:
                self.close_connection = True
                if fault.cut:
                    whole = json.dumps(tree).encode() if fault.store else b"{}" * 50
                    self.answer(200, whole[: fault.cut], {"Content-Length": str(len(whole))})

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
