"""A client that sends little, slowly or too much neither fills the memory nor keeps others from being served."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import uvicorn
from uvicorn.server import ServerState

from collector import limits
from collector.errors import Problem
from collector.server import connections
from collector.server.connections import Connections, guarded, protocol
from collector.server.serve import listening_socket
from collector.web import bodies
from collector.web.addresses import read_networks
from collector.web.bodies import Budget, receive_body
from collector.web.context import AUTHENTICATED
from tests.collector.process import Collector, tool
from tests.collector.samples import CASES, manifest, record

WRITING = [
    "/api/v1/runs",
    "/api/v1/records",
    "/api/v1/runs/any/close",
    "/api/v1/import/junit?system=any",
    "/api/v1/import/e4s?system=any",
    "/api/v1/waivers",
    "/api/v1/waivers/1/end",
    "/api/v1/links",
]


def connect(served: Collector) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def head(path: str, length: int, token: str | None = None) -> bytes:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{authorization}"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def read_to_end(opened: socket.socket) -> bytes:
    received = b""
    while part := opened.recv(65536):
        received += part
    return received


@pytest.mark.parametrize("path", WRITING)
def test_a_request_without_permission_is_refused_before_its_body_is_sent(collector: Collector, path: str) -> None:
    reader = tool(collector.home, "token", "new", "ornl", "--scope", "read", *collector.arguments).stdout.strip()
    for token, status in ((None, b"401"), ("exw_00000000_" + "A" * 43, b"401"), (reader, b"403")):
        with connect(collector) as opened:
            opened.sendall(head(path, limits.MAX_BODY, token))
            answer = read_to_end(opened)
        assert answer.split()[1] == status, answer
        assert b"connection: close" in answer.lower()
        assert answer.count(b"HTTP/1.1") == 1


def test_a_client_that_sends_its_whole_body_can_read_why_it_was_refused(collector: Collector) -> None:
    for _ in range(3):
        answer = collector.post("/api/v1/records", b" " * 8_000_000, token="wrong")
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:exaworks:problem:token-refused")


def test_the_body_of_an_old_client_is_refused_by_its_announced_size(collector: Collector) -> None:
    with connect(collector) as opened:
        opened.sendall(head("/result", limits.MAX_OLD_CLIENT_BODY + 1))
        answer = read_to_end(opened)
    assert answer.split()[1] == b"413"
    assert str(limits.MAX_OLD_CLIENT_BODY).encode() in answer


def peak(served: Collector) -> int:
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def test_half_sent_bodies_leave_memory_and_service_for_others(tmp_path: Path) -> None:
    served = Collector(tmp_path)
    upload = tool(tmp_path, "token", "new", "ornl").stdout.strip()
    with ExitStack() as stack:
        for _ in range(60):
            opened = stack.enter_context(connect(served))
            opened.sendall(head("/result", limits.MAX_OLD_CLIENT_BODY))
            opened.sendall(b" " * 1_000_000)
        for number in range(3):
            assert served.add(record(f"meanwhile-{number}", CASES[0]), token=upload).status_code == 200
        assert served.get("/").status_code == 200
    assert peak(served) < 300 * 1024 * 1024
    assert served.stop() == 0


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "], ids=["idle", "half a header"])
def test_hundreds_of_idle_connections_do_not_keep_others_out(tmp_path: Path, sent: bytes) -> None:
    served = Collector(tmp_path)
    with ExitStack() as stack:
        for number in range(300):
            opened = stack.enter_context(connect(served))
            opened.sendall(sent)
            if number % 50 == 0:
                served.session.close()
                assert served.get("/healthz").status_code == 200
    assert served.stop() == 0


# The following tests run the connections of the server in this process, with shorter times and smaller numbers.


async def answer_hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def read_then_answer(scope: Any, receive: Any, send: Any) -> None:
    scope[AUTHENTICATED] = scope["path"] == "/with-token"
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    await answer_hello(scope, receive, send)


class Local:
    """A server in this process and its clients."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.writers: list[asyncio.StreamWriter] = []

    async def hold(self, request: bytes = b"", source: str = "127.0.0.1") -> Any:
        """Send a part of a request from an address and keep the connection open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        self.writers.append(writer)
        writer.write(request)
        await writer.drain()
        await asyncio.sleep(0.05)
        return reader, writer

    async def exchange(self, request: bytes, source: str = "127.0.0.1") -> bytes:
        """Send a request from an address and return everything that arrives until the connection is closed."""
        reader, _ = await self.hold(request, source)
        return await asyncio.wait_for(reader.read(), 20)

    async def close(self) -> None:
        for writer in self.writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)


@asynccontextmanager
async def listening(app: Any, register: Connections) -> AsyncIterator[Local]:
    config = uvicorn.Config(guarded(app), http=protocol(register), log_config=None, access_log=False, lifespan="off")
    config.load()
    state = ServerState()

    def connection() -> Any:
        return config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg]

    server = await asyncio.get_running_loop().create_server(connection, "0.0.0.0")
    local = Local(server.sockets[0].getsockname()[1])
    try:
        yield local
    finally:
        for each in list(state.connections):
            each.transport.abort()
        await local.close()
        server.close()


GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.1)


def test_a_header_that_is_not_completed_in_time_ends_its_connection(short_times: None) -> None:
    async def run() -> tuple[bytes, bytes]:
        async with listening(answer_hello, Connections()) as local:
            return await local.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: "), await local.exchange(b"")

    half, nothing = asyncio.run(run())
    assert half.startswith(b"HTTP/1.1 408 ")
    assert nothing == b""


def test_a_later_request_on_the_connection_must_be_complete_in_time_too(short_times: None) -> None:
    async def run() -> bytes:
        async with listening(answer_hello, Connections()) as local:
            whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            reader, writer = await local.hold(whole)
            writer.write(b"GET / HT")
            return await asyncio.wait_for(reader.read(), 20)

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"hello" in answer
    assert b"HTTP/1.1 408 " in answer


def test_an_address_has_a_share_and_others_are_not_affected() -> None:
    async def run() -> tuple[bytes, bytes, bytes, bytes]:
        async with listening(read_then_answer, Connections(share=3, total=8)) as local:
            body = head("/with-token", 5)
            busy = [await local.hold(body, "127.0.0.2") for _ in range(3)]
            refused = await local.exchange(GET, "127.0.0.2")
            other = await local.exchange(GET, "127.0.0.3")
            busy[0][1].write(b"12345")
            finished = await asyncio.wait_for(busy[0][0].readuntil(b"hello"), 20)
            again = await local.exchange(GET, "127.0.0.2")
            return refused, other, finished, again

    refused, other, finished, again = asyncio.run(run())
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"too-many-connections" in refused
    for answer in (other, finished, again):
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_room_is_made_by_closing_idle_connections_and_bodies_without_a_token_but_no_valid_request() -> None:
    async def run() -> list[bytes]:
        async with listening(read_then_answer, Connections(share=3, total=100)) as local:
            valid = await local.hold(head("/with-token", 5))
            half_sent = await local.hold(head("/without", 5))
            idle = await local.hold()
            answers = [await local.exchange(GET)]  # in place of the idle one
            closed = [await asyncio.wait_for(idle[0].read(), 20)]
            fresh = await local.hold(head("/with-token", 5))
            answers.append(await local.exchange(GET))  # in place of the half-sent one
            closed.append(await asyncio.wait_for(half_sent[0].read(), 20))
            valid[1].write(b"12345")
            fresh[1].write(b"12345")
            answers += [await asyncio.wait_for(each[0].readuntil(b"hello"), 20) for each in (valid, fresh)]
            assert closed == [b"", b""]
            return answers

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in asyncio.run(run()))


def test_connections_of_a_trusted_proxy_are_not_limited_by_their_address() -> None:
    async def run() -> list[bytes]:
        register = Connections(read_networks(["127.0.0.2"]), share=2, total=100)
        async with listening(read_then_answer, register) as local:
            busy = [await local.hold(head("/with-token", 5), "127.0.0.2") for _ in range(6)]
            for _, writer in busy:
                writer.write(b"12345")
            return [await asyncio.wait_for(reader.readuntil(b"hello"), 20) for reader, _ in busy]

    assert len(asyncio.run(run())) == 6


class Sending:
    """A request whose body arrives in parts; None stands for a part that never arrives."""

    def __init__(self, *parts: bytes | None) -> None:
        self.parts = list(parts)

    async def receive(self) -> Any:
        part = self.parts.pop(0)
        if part is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}


def test_a_body_must_arrive_at_a_minimum_rate() -> None:
    fast: Any = Sending(*[b"x" * 1000] * 50)
    assert len(asyncio.run(receive_body(fast, 10**6))) == 50_000
    slow: Any = Sending(b"x" * 10, None)
    with pytest.raises(Problem) as refused:
        asyncio.run(receive_body(slow, 10**6, grace=0.05, rate=1000.0))
    assert (refused.value.status, refused.value.kind) == (408, "too-slow")
    assert "10 bytes so far" in refused.value.detail
    long: Any = Sending(b"x" * 600, b"x" * 600)
    with pytest.raises(Problem) as refused:
        asyncio.run(receive_body(long, 1000))
    assert refused.value.status == 413


def test_reservations_wait_in_order_and_are_returned() -> None:
    async def run() -> list[str]:
        budget, order = Budget(10), []

        async def use(name: str, amount: int, hours: asyncio.Event | None = None) -> None:
            async with budget.reserve(amount):
                order.append(name)
                if hours is not None:
                    await hours.wait()

        release = asyncio.Event()
        tasks = [asyncio.create_task(use("first", 8, release))]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(use("large", 9)), asyncio.create_task(use("small", 1))]
        await asyncio.sleep(0.01)
        assert order == ["first"]  # the small one fits, but it came later
        cancelled = asyncio.create_task(use("cancelled", 5))
        await asyncio.sleep(0)
        cancelled.cancel()
        release.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert budget.idle
        return order

    assert asyncio.run(run()) == ["first", "large", "small"]


def test_a_reservation_that_waits_too_long_is_refused() -> None:
    async def run() -> None:
        budget = Budget(10, wait=0.02)
        async with budget.reserve(10):
            with pytest.raises(Problem) as refused:
                async with budget.reserve(1):
                    raise AssertionError("there was no room")
            assert refused.value.status == 503
        assert budget.idle

    asyncio.run(run())


def test_bodies_of_one_address_wait_for_each_other_and_the_client_is_told() -> None:
    """One address may hold back only its own bodies; that is no failure of the server, so the status is not 5xx."""

    def announcing(size: int, *parts: bytes | None) -> Any:
        sending: Any = Sending(*(parts or (b"x" * size,)))
        sending.headers = {"content-length": str(size)}
        return sending

    async def run() -> None:
        with patch.multiple(bodies, ADDRESS_WAIT_SECONDS=0.02, ADDRESS_MEMORY=100):
            receiver = bodies.Bodies()

            async def hold() -> None:
                async with receiver.receive_unauthenticated(announcing(80, None), 1000, "192.0.2.1"):
                    pass

            holding = asyncio.create_task(hold())
            await asyncio.sleep(0.01)
            async with receiver.receive_unauthenticated(announcing(50), 1000, "192.0.2.2") as body:
                assert len(body) == 50
            with pytest.raises(Problem) as refused:
                async with receiver.receive_unauthenticated(announcing(50), 1000, "192.0.2.1"):
                    raise AssertionError("there was no room")
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
        assert (refused.value.status, refused.value.kind) == (429, "too-many-bodies")

    asyncio.run(run())


def test_a_manifest_is_accepted_after_all_of_this(collector: Collector) -> None:
    assert collector.open(manifest("after-the-storm")).status_code == 201


def test_a_short_response_does_not_wait_for_the_client_to_acknowledge_its_header() -> None:
    undelayed: list[int] = []

    async def answered(listening: socket.socket) -> None:
        async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            undelayed.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(note, sock=listening):
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            await reader.read()
            writer.close()

    with listening_socket([(socket.AF_INET, ("127.0.0.1", 0))]) as listening:
        asyncio.run(answered(listening))
    assert undelayed == [1]
