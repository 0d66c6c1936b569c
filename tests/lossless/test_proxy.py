"""The proxy does to connections what its weather says, and nothing else."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.lossless.proxy import Proxy, Weather
from tests.lossless.waiting import wait_until

PATIENCE = 5.0

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that sends back what it gets; `got` is all of it, `lost` how many connections have ended."""

    def __init__(self) -> None:
        self.got = b""
        self.lost = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                self.got += data
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            self.lost += 1
            writer.transport.abort()


class Lane:
    """An echo server behind a proxy, and connections through it."""

    def __init__(self) -> None:
        self.echo = Echo()
        self.proxy = Proxy()
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> Connection:
        """A connection to the proxy."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self._writers.append(writer)
        return reader, writer

    async def connect(self) -> Connection:
        """A connection that has carried something."""
        reader, writer = await self.open()
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), PATIENCE) == b"hello"
        return reader, writer

    def close(self) -> None:
        """Be done with all connections."""
        for writer in self._writers:
            writer.transport.abort()


@pytest_asyncio.fixture
async def lane() -> AsyncIterator[Lane]:
    """Ready to be connected to."""
    lane = Lane()
    server = await asyncio.start_server(lane.echo.serve, "127.0.0.1", 0)
    await lane.proxy.start()
    lane.proxy.targets = [server.sockets[0].getsockname()[1]]
    yield lane
    lane.close()
    await lane.proxy.close()
    server.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait until the connection is over; whether nothing came before that."""
    try:
        return await asyncio.wait_for(reader.read(100), PATIENCE) == b""
    except ConnectionError:
        return True


async def test_passes(lane: Lane) -> None:
    """In calm weather everything passes, both ways."""
    reader, writer = await lane.connect()
    big = bytes(range(256)) * 2000
    writer.write(big)
    assert await asyncio.wait_for(reader.readexactly(len(big)), PATIENCE) == big


async def test_cut(lane: Lane) -> None:
    """A cut ends both sides; the next connection is as good as new."""
    server, proxy = lane.echo, lane.proxy
    reader, _ = await lane.connect()
    proxy.cut_all()
    assert await ended(reader)
    assert await wait_until(lambda: server.lost == 1, PATIENCE)
    await lane.connect()


async def test_half_open(lane: Lane) -> None:
    """What the server answers is swallowed, what it is sent is not; healed, the connection is cut."""
    server, proxy = lane.echo, lane.proxy
    reader, writer = await lane.connect()
    proxy.become(lambda: (Weather(), Weather(drop=True)))
    writer.write(b"lost")
    assert await wait_until(lambda: server.got == b"hellolost", PATIENCE)
    assert server.lost == 0
    # The answer has reached the proxy once a second one has.
    assert await wait_until(lambda: any(pipe.down.tainted for pipe in proxy.pipes), PATIENCE)
    proxy.heal()
    assert await ended(reader)


async def test_hold(lane: Lane) -> None:
    """What is held comes later, whole; nothing of it comes before."""
    reader, writer = await lane.connect()
    lane.proxy.become(lambda: (Weather(hold=True), Weather()))
    (pipe,) = lane.proxy.pipes
    passed = pipe.up.passed
    for piece in (b"a", b"bc"):
        writer.write(piece)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.2)
    assert pipe.up.passed == passed
    lane.proxy.heal()
    assert await asyncio.wait_for(reader.readexactly(3), PATIENCE) == b"abc"
    assert pipe.up.passed == passed + 3


async def test_cut_after(lane: Lane) -> None:
    """So many bytes pass, not one more."""
    server, proxy = lane.echo, lane.proxy
    _, writer = await lane.connect()
    proxy.become(lambda: (Weather(cut_after=4), Weather()))
    writer.write(b"0123456789")
    assert await wait_until(lambda: server.lost == 1, PATIENCE)
    assert server.got == b"hello0123"


async def test_delay(lane: Lane) -> None:
    """Everything takes longer, and nothing is missing."""
    reader, writer = await lane.connect()
    lane.proxy.become(lambda: (Weather(delay=0.1), Weather(delay=0.1)))
    began = asyncio.get_running_loop().time()
    writer.write(b"slow")
    assert await asyncio.wait_for(reader.readexactly(4), PATIENCE) == b"slow"
    assert asyncio.get_running_loop().time() - began >= 0.2


async def test_offline(lane: Lane) -> None:
    """Who is offline, or has no server, is refused."""
    lane.proxy.is_offline = True
    reader, _ = await lane.open()
    assert await ended(reader)
