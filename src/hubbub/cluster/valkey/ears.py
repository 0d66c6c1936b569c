"""The way in from the bus: subscriptions, and the care that they are really heard.

    watch -> subscribe ... confirmed -> done          lost or deaf -> connect, subscribe to all -> a gap

A beat of the node's own, published every second, has to come back within a few seconds on every connection.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final

from hubbub.cluster.valkey.line import Line, LineLost, Reply, ReplyError
from hubbub.cluster.valkey.servers import Endpoint, Servers, Unreachable
from hubbub.cluster.valkey.voice import is_sharded

log = logging.getLogger(__name__)

DEAF: Final = 3.0
"""Seconds without an own beat after which a node takes itself for deaf."""

_BEAT: Final = 1.0
_WATCH: Final = 1.0
_DEADLINE: Final = 5.0
_PAUSE: Final = 0.25


class Ears:
    """Hears what is published on some channels. Must be opened and closed.

    `hear` is called with a channel and what came; `gap` with the channels on which something may have been
    missed, None for all.
    """

    def __init__(
        self,
        servers: Servers,
        beats: str,
        hear: Callable[[str, bytes], None],
        gap: Callable[[str | None], None],
    ) -> None:
        self._servers = servers
        self._beats = beats
        self._hear = hear
        self._gap = gap
        self._wanted: set[str] = set()
        # Subscriptions asked for and not confirmed, and who waits for each.
        self._asked: dict[str, deque[asyncio.Future[None]]] = {}
        # Channels watched by somebody who was not kept waiting any longer.
        self._late: set[str] = set()
        self._lines: dict[Endpoint, tuple[Line, bool]] = {}
        # When each connection last heard the beat of the channel that is its own.
        self._heard_at: dict[str, float] = {}
        self._silent_since = self._tuned_at = time.monotonic()
        self._broken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.reconnects = 0

    @property
    def silence(self) -> float:
        """How many seconds ago this node last heard itself, on the connection where that is longest ago."""
        return time.monotonic() - min(self._heard_at.values(), default=self._silent_since)

    @property
    def beat_channels(self) -> list[str]:
        """Where the node's own beats have to be published."""
        return list(self._heard_at)

    async def open(self) -> None:
        """Connect, and begin. Raises `Unreachable`."""
        try:
            await self._tune_in()
        except (LineLost, TimeoutError) as error:
            raise Unreachable(f"the bus cannot be used: {str(error) or 'no answer'}") from None
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Hear nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._hang_up()

    # What is heard.

    def watch(self, channel: str) -> asyncio.Future[None]:
        """Hear a channel. The future is done when that is certain, or after a second; then a gap follows."""
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted.add(channel)
        if self._lines:
            self._ask(channel, confirmed)
            asyncio.get_running_loop().call_later(_WATCH, self._expire, channel, confirmed)
        else:
            confirmed.set_result(None)
        return confirmed

    def unwatch(self, channel: str) -> None:
        """Hear a channel no more."""
        self._wanted.discard(channel)
        self._late.discard(channel)
        if self._lines:
            line, sharded = self._lines[self._servers.place_known(channel)]
            line.send([("SUNSUBSCRIBE" if sharded else "UNSUBSCRIBE", channel)])

    def _ask(self, channel: str, confirmed: asyncio.Future[None]) -> None:
        self._asked.setdefault(channel, deque()).append(confirmed)
        line, sharded = self._lines[self._servers.place_known(channel)]
        line.send([("SSUBSCRIBE" if sharded else "SUBSCRIBE", channel)])

    def _expire(self, channel: str, confirmed: asyncio.Future[None]) -> None:
        if not confirmed.done():
            self._late.add(channel)
            confirmed.set_result(None)

    def _received(self, reply: Reply) -> None:
        if isinstance(reply, ReplyError):
            # A channel has moved to another server, or this user must not hear it.
            log.warning("the bus refuses a subscription: %s", reply)
            self._broken.set()
            return
        kind, channel = reply[0], reply[1].decode()
        if kind in {b"smessage", b"message"}:
            if channel in self._heard_at:
                self._heard_at[channel] = time.monotonic()
            elif channel in self._wanted:
                self._hear(channel, reply[2])
        elif kind in {b"ssubscribe", b"subscribe"}:
            self._confirmed(channel)
        elif channel in self._wanted and channel not in self._asked:
            # Unsubscribed by the server: the channel has moved.
            self._broken.set()

    def _confirmed(self, channel: str) -> None:
        asked = self._asked[channel]
        confirmed = asked.popleft()
        if not asked:
            del self._asked[channel]
        if not confirmed.done():
            confirmed.set_result(None)
        if channel in self._late:
            self._late.discard(channel)
            self._gap(channel)

    # Connecting.

    async def _keep(self) -> None:
        complained = False
        while True:
            await self._listen()
            self._hang_up()
            await asyncio.sleep(_PAUSE)
            try:
                await self._tune_in()
                self.reconnects += 1
                log.info("the bus is heard again")
                self._gap(None)
                complained = False
            except (Unreachable, LineLost, TimeoutError) as error:
                level = logging.DEBUG if complained else logging.WARNING
                log.log(level, "the bus cannot be heard: %s", str(error) or "no answer in time")
                complained = True

    async def _listen(self) -> None:
        """Wait until a connection is lost, or proves to be deaf."""
        while self._lines and not self._broken.is_set():
            try:
                async with asyncio.timeout(_BEAT):
                    await self._broken.wait()
            except TimeoutError:
                if min(self.silence, time.monotonic() - self._tuned_at) > DEAF:
                    log.warning("this node has not heard itself on the bus for %.0f s", self.silence)
                    return
        if self._lines:
            log.warning("the bus is not heard any more: connecting again")

    async def _tune_in(self) -> None:
        """Connect to every server and subscribe to everything; all of it confirmed, or nothing."""
        self._broken.clear()
        try:
            async with asyncio.timeout(_DEADLINE):
                await self._servers.place(self._beats)
                self._lines = await self._connect(self._servers.all_known())
                self._heard_at = {self._beat_channel(one): self._silent_since for one in self._lines}
                self._tuned_at = time.monotonic()
                await self._subscribe([*self._wanted, *self._heard_at])
        except BaseException:
            self._hang_up()
            raise

    async def _connect(self, endpoints: set[Endpoint]) -> dict[Endpoint, tuple[Line, bool]]:
        lines: dict[Endpoint, tuple[Line, bool]] = {}
        try:
            for endpoint in endpoints:
                line = await self._servers.connect(endpoint, self._received, self._broken.set)
                lines[endpoint] = line, False
                lines[endpoint] = line, await is_sharded(line, self._beat_channel(endpoint))
        except BaseException:
            for line, _ in lines.values():
                line.close()
            raise
        return lines

    async def _subscribe(self, channels: list[str]) -> None:
        """Subscribe to channels. Raises `LineLost`."""
        loop = asyncio.get_running_loop()
        waiting: list[asyncio.Future[None]] = [loop.create_future() for _ in channels]
        for channel, confirmed in zip(channels, waiting, strict=True):
            self._ask(channel, confirmed)
        broken = asyncio.ensure_future(self._broken.wait())
        try:
            await asyncio.wait((broken, asyncio.gather(*waiting)), return_when=asyncio.FIRST_COMPLETED)
        finally:
            broken.cancel()
        if self._broken.is_set():
            raise LineLost("a connection was lost at once")

    def _hang_up(self) -> None:
        if self._heard_at:
            self._silent_since = min(self._heard_at.values())
        self._heard_at = {}
        lines, self._lines = self._lines, {}
        for line, _ in lines.values():
            line.close()
        asked, self._asked = self._asked, {}
        self._late.clear()
        for waiting in asked.values():
            for confirmed in waiting:
                if not confirmed.done():
                    confirmed.set_result(None)
        self._servers.doubt()

    def _beat_channel(self, endpoint: Endpoint) -> str:
        """Return a channel of this node's that is on a certain server."""
        names = (f"{self._beats}:{number}" for number in count())
        return next(name for name in names if self._servers.place_known(name) == endpoint)
