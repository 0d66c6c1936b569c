"""The way out to the bus: a bounded queue, emptied in batches. What gets no place is dropped and counted."""

import asyncio
import logging
from collections import deque
from typing import Final

from hubbub.cluster.valkey.line import Command, Line, LineLost, ReplyError, first_error
from hubbub.cluster.valkey.servers import Endpoint, Servers, Unreachable

log = logging.getLogger(__name__)

MOST_FRAMES: Final = 10_000
MOST_BYTES: Final = 16_777_216

_BATCH: Final = 500
_DEADLINE: Final = 5.0
_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 4.0


async def is_sharded(line: Line, channel: str) -> bool:
    """Whether a server has sharded publishing: Valkey, and Redis from 7 on. Raises `LineLost`."""
    (reply,) = await line.call([("SPUBLISH", channel, "")])
    # A cluster's server knows the command when it says where the channel is.
    if isinstance(reply, ReplyError) and not str(reply).startswith("MOVED"):
        if "unknown command" in str(reply).lower():
            return False
        raise LineLost(str(reply))
    return True


class Voice:
    """Publishes. Must be opened and closed."""

    def __init__(self, servers: Servers, probe: str) -> None:
        self._servers = servers
        self._probe = probe
        self._lines: dict[Endpoint, tuple[Line, str]] = {}
        self._queue: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_up = False
        # Between two attempts; longer when nothing gets out in between.
        self._pause = _PAUSE
        self._empty = asyncio.Event()
        self._empty.set()
        self.published = 0
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """How many bytes wait to be published."""
        return self._bytes

    async def open(self) -> None:
        """Connect, and begin. Raises `Unreachable`."""
        try:
            async with asyncio.timeout(_DEADLINE):
                await self._line(await self._servers.place(self._probe))
        except (TimeoutError, LineLost) as error:
            raise Unreachable(f"the bus cannot be used: {str(error) or 'no answer'}") from None
        self._is_up = True
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Publish what waits, for at most a second, then nothing more."""
        if self._task is not None:
            try:
                async with asyncio.timeout(1.0):
                    await self._empty.wait()
            except TimeoutError:
                log.debug("%d tellings of this node were not told to the others", len(self._queue))
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._hang_up()

    def say(self, channel: str, frame: bytes) -> None:
        """Have a frame published soon; it is dropped when the bus is down or too far behind."""
        size = self._bytes + len(frame)
        if not self._is_up or len(self._queue) >= MOST_FRAMES or size > MOST_BYTES:
            self.dropped += 1
            return
        self._queue.append((channel, frame))
        self._bytes = size
        self._empty.clear()
        self._wake.set()

    async def _keep(self) -> None:
        while True:
            try:
                await self._speak()
            except (Unreachable, LineLost, TimeoutError) as error:
                if self._is_up:
                    log.warning("the bus is down: %s", str(error) or "no answer in time")
            except Exception:
                log.exception("publishing failed")
            self._hang_up()
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _hang_up(self) -> None:
        self._is_up = False
        self.dropped += len(self._queue)
        self._queue.clear()
        self._empty.set()
        self._bytes = 0
        for line, _ in self._lines.values():
            line.close()
        self._lines.clear()
        self._servers.doubt()

    async def _speak(self) -> None:
        """Publish one batch after the other."""
        async with asyncio.timeout(_DEADLINE):
            await self._line(await self._servers.place(self._probe))
        if not self._is_up:
            log.info("the bus is up again")
        self._is_up = True
        while True:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
            async with asyncio.timeout(_DEADLINE):
                await self._publish()

    async def _publish(self) -> None:
        queue, count = self._queue, min(len(self._queue), _BATCH)
        batches: dict[Endpoint, list[Command]] = {}
        # They stay in the queue until they are out: what is lost with the connection counts as dropped.
        for index in range(count):
            channel, frame = queue[index]
            endpoint = await self._servers.place(channel)
            _, verb = await self._line(endpoint)
            batches.setdefault(endpoint, []).append((verb, channel, frame))
        calls = [self._lines[endpoint][0].call(commands) for endpoint, commands in batches.items()]
        for replies in await asyncio.gather(*calls):
            error = first_error(replies)
            if error is not None:
                raise LineLost(str(error))
        for _ in range(count):
            self._bytes -= len(queue.popleft()[1])
        self.published += count
        self._pause = _PAUSE
        if not queue:
            self._empty.set()

    async def _line(self, endpoint: Endpoint) -> tuple[Line, str]:
        known = self._lines.get(endpoint)
        if known is not None and not known[0].is_lost:
            return known
        line = await self._servers.connect(endpoint)
        try:
            verb = "SPUBLISH" if await is_sharded(line, self._probe) else "PUBLISH"
        except BaseException:
            line.close()
            raise
        self._lines[endpoint] = line, verb
        return line, verb
