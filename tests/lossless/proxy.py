"""A TCP proxy that does to connections what networks do.

Each direction of a connection has its own `Weather`. Bytes that a `drop` has swallowed leave a hole that no
TCP stream has, so such a connection can only be cut afterwards, never healed.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

Target: TypeAlias = int | Path
"""Where a server listens: a port of the loopback, or a Unix socket."""

CHUNK: Final = 16 * 1024
_TRICKLE: Final = 256
_HEAD: Final = 1024
_WINDOW: Final = 16 * 1024
"""Small buffers between proxy and server: who writes feels soon that nobody reads."""


@dataclass(slots=True)
class Weather:
    """What happens to the bytes of one direction; nothing by default."""

    delay: float = 0.0
    """Seconds that each chunk takes longer."""
    drop: bool = False
    """Swallow everything: one side believes in a connection that the other does not hear (half-open)."""
    hold: bool = False
    """Pass nothing on and read no more, so that the sender's buffers fill up."""
    rate: float = 0.0
    """Bytes per second at most; 0 for no limit."""
    cut_after: int | None = None
    """Cut the connection once so many more bytes have passed, the last chunk torn where it must be."""
    cut_at: bytes = b""
    """Cut it when these bytes come, before they have passed."""


@dataclass(slots=True)
class Flow:
    """One direction of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    weather: Weather = field(default_factory=Weather)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    tainted: bool = False
    # How many bytes were passed on.
    passed: int = 0
    # How it began, to tell connections apart.
    head: bytes = b""

    async def run(self) -> None:
        """Carry bytes until either side ends."""
        while True:
            await self._held()
            data = await self.reader.read(_TRICKLE if self.weather.rate else CHUNK)
            await self._held()
            self.head = (self.head + data)[:_HEAD]
            if not data or not await self._carry(data):
                return

    async def _held(self) -> None:
        while self.weather.hold and not self.writer.is_closing():
            self.changed.clear()
            await self.changed.wait()

    async def _carry(self, data: bytes) -> bool:
        """Pass a chunk on as the weather lets it; False when the connection is to be cut."""
        weather = self.weather
        if weather.cut_at and weather.cut_at in data:
            return False
        if pause := weather.delay or (len(data) / weather.rate if weather.rate else 0.0):
            await asyncio.sleep(pause)
        if weather.drop:
            self.tainted = True
            return True
        torn = weather.cut_after is not None and len(data) >= weather.cut_after
        if weather.cut_after is not None:
            data = data[: weather.cut_after]
            weather.cut_after -= len(data)
        self.passed += len(data)
        self.writer.write(data)
        await self.writer.drain()
        return not torn


class Pipe:
    """One connection through the proxy: `up` goes to the server, `down` comes from it."""

    def __init__(self, up: Flow, down: Flow) -> None:
        self.up = up
        self.down = down

    def cut(self) -> None:
        """End both halves at once, as a reset does."""
        for flow in (self.up, self.down):
            flow.writer.transport.abort()
            flow.changed.set()

    def become(self, up: Weather, down: Weather) -> None:
        """Change the weather; what has a hole is cut unless it goes on dropping."""
        for flow, weather in ((self.up, up), (self.down, down)):
            flow.weather = weather
            flow.changed.set()
            if flow.tainted and not weather.drop:
                self.cut()

    async def run(self) -> None:
        """Carry both directions until one ends."""
        flows = [asyncio.create_task(flow.run()) for flow in (self.up, self.down)]
        try:
            await asyncio.wait(flows, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.cut()
            for task in flows:
                task.cancel()
            await asyncio.gather(*flows, return_exceptions=True)


class Proxy:
    """Listens on a port of its own and connects to one of `targets`, which may change: to the next one with
    each connection, as a balancer does, and where nobody listens, to the one behind it. It refuses everybody
    while there is none, and while it is offline. `calm` makes the weather of connections to come.
    """

    def __init__(self, targets: list[Target] | None = None, turn: int = 0) -> None:
        self.targets: list[Target] = [] if targets is None else targets
        self._turn = turn
        self.is_offline = False
        self.pipes: set[Pipe] = set()
        self.calm: Callable[[], tuple[Weather, Weather]] = lambda: (Weather(), Weather())
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen; `port` and `url` say where from then on."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._listener.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Where it listens, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def become(self, make: Callable[[], tuple[Weather, Weather]]) -> None:
        """Change the weather (up, down) of all connections, and of those to come."""
        self.calm = make
        for pipe in list(self.pipes):
            pipe.become(*make())

    def heal(self) -> None:
        """Let everything pass again."""
        self.become(lambda: (Weather(), Weather()))

    def cut_all(self) -> None:
        """Cut every connection there is."""
        for pipe in list(self.pipes):
            pipe.cut()

    async def close(self) -> None:
        """Cut everything and listen no more."""
        assert self._listener is not None
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._connect(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = None if self.is_offline else await self._reach()
        if upstream is None:
            return
        server_reader, server_writer = await asyncio.open_connection(sock=upstream, limit=CHUNK)
        pipe = Pipe(Flow(reader, server_writer), Flow(server_reader, writer))
        pipe.become(*self.calm())
        self.pipes.add(pipe)
        try:
            await pipe.run()
        finally:
            self.pipes.discard(pipe)

    async def _reach(self) -> socket.socket | None:
        """A connection to the next target that takes one."""
        targets = list(self.targets)
        for _ in targets:
            self._turn += 1
            with suppress(OSError):
                return await _connected(targets[self._turn % len(targets)])
        return None


async def _connected(target: Target) -> socket.socket:
    upstream = socket.socket(socket.AF_UNIX if isinstance(target, Path) else socket.AF_INET)
    upstream.setblocking(False)
    upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
    address = str(target) if isinstance(target, Path) else ("127.0.0.1", target)
    try:
        await asyncio.get_running_loop().sock_connect(upstream, address)
    except BaseException:
        upstream.close()
        raise
    return upstream
