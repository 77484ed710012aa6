"""Attack a collector with malformed requests and slow connections, and measure what other clients notice.

    python benchmarks/attacks.py [--requests 10000] [--connections 200] [--seed 1] [--before 8]
                                 [--database sqlite|postgresql]

Starts a real collector on the loopback interface. Threads send malformed requests of every kind to every address, with
and without a valid token, while connections that send slowly, half or nothing are held open. Another client reads pages
and uploads records with its own token meanwhile, and before. Prints the answers by status, the number of 5xx, the peak
memory of the server, and the times that the other client waited. The exit code is 1 if there was a 5xx, if the memory
exceeded 300 MB, if the other client was refused, or if the database is wrong afterwards.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.databases import KINDS, Databases
from dashboard_client.schema import encode
from tests.collector.process import Collector, batch, tool
from tests.collector.samples import CASES, closing, manifest, record

MEMORY_MB = 300
THREADS = 16

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**31, 2**53 + 1, 2**63, 10**30, 1e308, -1e308, 1e-320, "", "x" * 50_000, "\0", "a\0b"),
    *("\ud800", "\u202eevil", "\n\r", "../../etc/passwd", "'; DROP TABLE runs;--", "<script>", "%00", "🦄" * 300),
    *([], {}, ["x"], {"a": 1}, [[]], "\x1b[31m", "\u2028", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1e9d"),
)
RAW = (
    *(b"", b"null", b"[]", b"{}", b'"', b"{", b"\xff\xfe", b"\0", b"NaN", b"<xml/>", b"[" * 100_000, b"1e999999"),
    *(b'{"a":' * 50_000, b'{"records":[' + b"{}," * 6000 + b"{}]}", b'{"records":["\\ud800"]}', b"9" * 200_000),
    *(gzip.compress(b" " * 50_000_000), gzip.compress(b"") * 20_000, gzip.compress(b"{}")[:-4], b"\x1f\x8b" * 100),
)
XML = (
    b'<!DOCTYPE a [<!ENTITY x "y">]><testsuite/>',
    b"<testsuite>" * 3000,
    b'<testsuite tests="3"><testcase name="a"/></testsuite>',
    b'<testsuite><testcase name="&#0;"/></testsuite>',
    b'<testsuite><testcase name="' + b"A" * 1_000_000 + b'" time="1e400"/></testsuite>',
)
POSTS = (
    "/api/v1/records",
    "/api/v1/records",
    "/api/v1/runs",
    "/api/v1/runs",
    "/api/v1/runs/{}/close?site={}&system={}",
    "/api/v1/import/junit?system={}&started={}&timezone={}",
    "/api/v1/import/e4s?system={}&run={}",
    "/api/v1/waivers",
    "/api/v1/waivers/{}/end",
    "/api/v1/links",
    "/result",
)
GETS = (
    "/api/v1/runs/{}/records?after={}",
    "/api/v1/records/{}",
    "/api/v1/cells?state={}&after={}",
    "/api/v1/runs?limit={}&before={}&site={}",
    "/",
    "/?site={}&state={}",
    "/runs/{}",
    "/runs/{}/{}/{}",
    "/records/{}",
    "/cells/{}",
    "/systems/{}/{}?runs={}&before={}",
    "/compare/{}/{}",
    "/badge/{}/{}/{}",
    "/trends/{}/{}",
    "/open/{}",
    "/static/{}",
    "/{}",
    "/metrics?token={}",
)
NAMES = (
    "ornl",
    "frontier",
    "a%00b",
    "..%2f..%2fetc",
    "%ff%fe",
    "x" * 3000,
    "-1",
    "99999999999999999999",
    "%3Cb%3E",
    "",
    ".",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")
ENCODINGS = (None, None, None, "gzip", "br", "gzip, gzip", "\t")
TYPES = ("application/json", "application/json", "application/xml", "text/plain", "multipart/form-data", "")
LINES = (
    b"GET\r\n\r\n",
    b"\0\0\0\0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /result HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /result HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"POST /result HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzz\r\n",
    b"POST /result HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \xff\xff\xff\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
SLOW = (
    b"",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-a: ",
    b"POST /result HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n{",
    b"POST /api/v1/records HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer exw_00000000_no\r\n"
    b"Content-Length: 33000000\r\n\r\n{",
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value in a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(document: Any, chance: random.Random) -> bytes:
    """Return a document in which one value is replaced, or a few bytes are."""
    changed = json.loads(json.dumps(document))
    *path, last = chance.choice(list(places(changed)))
    inner = changed
    for key in path:
        inner = inner[key]
    inner[last] = chance.choice(VALUES)
    written = json.dumps(changed).encode()
    if chance.random() < 0.3:
        spoilt = bytearray(written)
        for _ in range(chance.randint(1, 8)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        written = bytes(spoilt)
    return written


class Attacker:
    """Sends malformed requests. ``answers``: how often each status came; 0 if the connection was closed."""

    def __init__(self, url: str, tokens: tuple[str | None, ...], seed: int) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.tokens = tokens
        self.chance = random.Random(seed)
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        run = json.loads(encode(manifest("attack")))
        records = {"records": [json.loads(encode(record("attack", case))) for case in CASES]}
        message = {"id": "a", "key": "b", "data": {"run_id": "c", "function": "d", "results": {}}}
        self.documents = (run, records, json.loads(encode(closing(5))), message, {"site": "ornl", "cases": "*"})
        self._connection: http.client.HTTPConnection | None = None

    def attack(self, number: int) -> None:
        """Send a number of requests."""
        for _ in range(number):
            if self.chance.random() < 0.1:
                self._send_line(self.chance.choice(LINES))
            else:
                self._send_request()

    def _send_request(self) -> None:
        chance = self.chance
        method, path = ("POST", chance.choice(POSTS)) if chance.random() < 0.6 else ("GET", chance.choice(GETS))
        path = path.format(*(chance.choice(NAMES) for _ in range(path.count("{}"))))
        kinds: tuple[Callable[[], bytes], ...] = (
            lambda: mutated(chance.choice(self.documents), chance),
            lambda: mutated(chance.choice(self.documents), chance),
            lambda: chance.choice(RAW),
            lambda: chance.choice(XML),
            lambda: chance.randbytes(chance.randint(0, 5000)),
        )
        body = chance.choice(kinds)()
        if chance.random() < 0.1:
            method = chance.choice(METHODS)
        headers = {"Content-Type": chance.choice(TYPES)}
        encoding, token = chance.choice(ENCODINGS), chance.choice(self.tokens)
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = self._connection or http.client.HTTPConnection(self.host, self.port, timeout=120)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.answers[0] += 1
            connection.close()
            self._connection = None
            return
        self._connection = connection
        self._count(answer.status, f"{method} {path[:100]} {body[:200]!r}")

    def _send_line(self, line: bytes) -> None:
        with socket.create_connection((self.host, self.port), timeout=60) as raw:
            try:
                raw.sendall(line)
                raw.shutdown(socket.SHUT_WR)
                first = raw.recv(4096)
            except OSError:
                first = b""
        status = first.split(b" ")[1:2]
        self._count(int(status[0]) if status and status[0].isdigit() else 0, repr(line[:100]))

    def _count(self, status: int, request: str) -> None:
        self.answers[status] += 1
        if status >= 500:
            self.failures.append(f"{status}: {request}")


def hold(url: str, number: int, stop: threading.Event, counted: Counter[str]) -> None:
    """Hold slow and half-open connections until the end; one that the server closes is replaced by another."""
    parts = urlsplit(url)
    held: list[tuple[socket.socket, bytes]] = []
    while not stop.is_set():
        while len(held) < number:
            start = SLOW[len(held) % len(SLOW)]
            raw = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)
            raw.sendall(start)
            raw.setblocking(False)
            held.append((raw, start))
            counted["opened"] += 1
        kept = []
        for raw, start in held:
            try:
                if start:
                    raw.send(b"a")
                kept.append((raw, start))
            except BlockingIOError:
                kept.append((raw, start))
            except OSError:
                raw.close()
                counted["closed by the server"] += 1
        held = kept
        stop.wait(0.5)
    for raw, _ in held:
        raw.close()


def neighbour(served: Collector, token: str, stop: threading.Event, prefix: str) -> dict[str, list[float]]:
    """Read pages and upload records of another site until the end; return the seconds that each took."""
    waited: dict[str, list[float]] = {"page": [], "upload": [], "refused": []}
    number = 0
    while not stop.is_set():
        number += 1
        sent = [record(f"{prefix}-{number}", case, site="llnl", system="tuolumne") for case in CASES]
        for name, request in (
            ("page", lambda: served.get("/systems/llnl/tuolumne")),
            ("upload", lambda sent=sent: served.post("/api/v1/records", batch(sent), token)),
        ):
            began = time.monotonic()
            answer = request()
            waited[name].append(time.monotonic() - began)
            if answer.status_code != 200 and (name, number) != ("page", 1):
                waited["refused"].append(answer.status_code)
        stop.wait(0.2)
    return waited


def described(waited: dict[str, list[float]]) -> str:
    """Return the times of the other client as text."""
    parts = []
    for name in ("page", "upload"):
        times = sorted(1000 * each for each in waited[name])
        high = times[min(len(times) - 1, int(0.95 * len(times)))]
        parts.append(f"{name} median {statistics.median(times):.0f} ms, 95 % {high:.0f} ms, longest {times[-1]:.0f} ms")
    return f"{'; '.join(parts)}; {len(waited['page'])} each, {len(waited['refused'])} refused"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--before", type=float, default=8.0, help="seconds of the other client alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Databases(options.database) as databases:
        home = Path(folder)
        config = home / "collector.yaml"
        config.write_text("rates: {per_second: 100000, burst: 100000}\n")  # else most requests get no further than 429
        arguments = ("--database", databases.url("attacks"))
        served = Collector(home, "--config", str(config), *arguments)
        upload, other = (tool(home, "token", "new", site, *arguments).stdout.strip() for site in ("ornl", "llnl"))
        admin = tool(home, "token", "new", "*", "--scope", "admin", *arguments).stdout.strip()
        quiet = threading.Event()
        threading.Timer(options.before, quiet.set).start()
        print(f"before: {described(neighbour(served, other, quiet, 'before'))}")
        stop, counted = threading.Event(), Counter[str]()
        tokens = (None, upload, upload, admin, "exw_00000000_" + "x" * 40, "nonsense")
        attackers = [Attacker(served.url, tokens, options.seed * THREADS + each) for each in range(THREADS)]
        waited: dict[str, list[float]] = {}
        others = [
            threading.Thread(target=hold, args=(served.url, options.connections, stop, counted)),
            threading.Thread(target=lambda: waited.update(neighbour(served, other, stop, "during"))),
        ]
        threads = [threading.Thread(target=each.attack, args=(options.requests // THREADS,)) for each in attackers]
        began = time.monotonic()
        for thread in (*others, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        stop.set()
        for thread in others:
            thread.join()
        status = Path(f"/proc/{served.process.pid}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        answers: Counter[int] = sum((each.answers for each in attackers), Counter())
        failures = [failure for each in attackers for failure in each.failures]
        print(f"during: {described(waited)}")
        print(
            f"{answers.total()} malformed requests in {seconds:.0f} s: "
            + ", ".join(f"{count} x {code or 'closed'}" for code, count in sorted(answers.items()))
        )
        print(
            f"{options.connections} slow or half-open connections at a time: "
            + ", ".join(f"{count} {name}" for name, count in counted.items())
        )
        print(f"5xx: {len(failures)}; peak memory of the server: {peak:.0f} MB")
        for failure in failures[:10]:
            print(f"  {failure}")
        served.stop()
        right = tool(home, "verify", *arguments)
        print(f"verify: {right.stdout.strip()}")
    return int(bool(failures) or peak > MEMORY_MB or bool(waited["refused"]) or right.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
