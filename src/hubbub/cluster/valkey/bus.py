"""The bus of many nodes, decision 14 (docs/life-of-a-message.md).

    publish -> own subscribers, at once        -> frame -> Voice ... Ears of the others -> their subscribers

Frames are numbered in each channel. A number left out, a new connection and a spell of deafness are told to
the own subscribers as `Missed`.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns
from typing import Final

from hubbub.cluster.base import CutOff, Expel, MessageNew, Missed, Telling
from hubbub.cluster.local.bus import LocalBus
from hubbub.cluster.valkey import frames
from hubbub.cluster.valkey.ears import Ears
from hubbub.cluster.valkey.servers import Servers
from hubbub.cluster.valkey.voice import Voice

log = logging.getLogger(__name__)

_BEAT: Final = 1.0
_COUNTERS: Final = 50_000
"""Channels whose numbers are kept; they begin with the time, so that they may be begun anew."""


@dataclass(slots=True)
class Heard:
    """How many frames of others were good, repeated, of no known version or kind, and no frames at all."""

    good: int = 0
    repeated: int = 0
    unknown: int = 0
    malformed: int = 0
    gaps: int = 0


class ValkeyBus:
    """Implements `cluster.base.Bus`. Must be opened and closed. `prefix` begins all channels."""

    def __init__(self, make_servers: Callable[[], Servers], prefix: str, node: str) -> None:
        self._local = LocalBus()
        self._prefix = prefix
        self._sender = node, secrets.randbits(62)
        self._own = frames.prefix_of(self._sender)
        # Where answers to this node's questions come: one that is lost is asked for again, not healed.
        self._inbox = f"{prefix}{frames.node_channel(node)}"
        self.voice = Voice(make_servers(), f"{prefix}probe")
        self.ears = Ears(make_servers(), f"{prefix}beat:{node}", self._hear, self._gap)
        self.heard = Heard()
        # The last number given in each channel, and the last one heard there of each sender.
        self._given: dict[str, int] = {}
        self._numbers: dict[str, dict[tuple[str, int], int]] = {}
        self._beating: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and hear what concerns every node. Raises `Unreachable`."""
        self.ears.watch(self._prefix + frames.ALL)
        self.ears.watch(self._inbox)
        await self.voice.open()
        await self.ears.open()
        self._beating = asyncio.create_task(self._beat())

    async def close(self) -> None:
        """Publish what is left, then say and hear nothing more."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait((self._beating,))
        await self.voice.close()
        await self.ears.close()

    @property
    def silence(self) -> float:
        """How many seconds ago this node last heard itself through Valkey."""
        return self.ears.silence

    # The port.

    def publish(self, telling: Telling) -> None:
        """Tell the own subscribers, in the order of publishing, and soon the other nodes."""
        channel = frames.channel_of(telling)
        if channel is not None:
            self._say(channel, telling)
        self._local.publish(telling)

    def subscribe(self, deliver: Callable[[Telling], None]) -> None:
        """Have `deliver` called for everything told from now on; it must not block or raise."""
        self._local.subscribe(deliver)

    def watch(self, chat_id: str) -> asyncio.Future[None]:
        """Begin to hear what other nodes tell a chat's room."""
        return self.ears.watch(self._prefix + frames.chat_channel(chat_id))

    def unwatch(self, chat_id: str) -> None:
        """Hear no more of a chat's room."""
        channel = frames.chat_channel(chat_id)
        self._numbers.pop(channel, None)
        self.ears.unwatch(self._prefix + channel)

    # Out.

    def _say(self, channel: str, telling: Telling) -> None:
        given = self._given
        if len(given) >= _COUNTERS:
            given.clear()
        number = given[channel] = given.get(channel, time_ns() // 1000) + 1
        try:
            frame = frames.encode(self._sender, number, telling)
        except Exception:
            log.exception("A telling cannot be sent to other nodes: %s", type(telling).__name__)
            return
        self.voice.say(self._prefix + channel, frame)

    async def _beat(self) -> None:
        while True:
            for channel in self.ears.beat_channels:
                self.voice.say(channel, b"")
            await asyncio.sleep(_BEAT)

    # In.

    def _hear(self, channel: str, data: bytes) -> None:
        if data.startswith(self._own):
            return
        name = channel.removeprefix(self._prefix)
        try:
            frame = frames.decode(data)
            gap, is_new = self._numbered(name, frame)
            telling = frame.telling()
        except frames.Malformed:
            self.heard.malformed += 1
            return
        except frames.Unknown:
            self.heard.unknown += 1
            return
        # What was heard already does no harm when it is about a message or a right, and loss would.
        if is_new or isinstance(telling, MessageNew | Expel | CutOff):
            self.heard.good += 1
            self._local.publish(telling)
        if gap:
            self.heard.gaps += 1
            self._gap(channel)

    def _numbered(self, channel: str, frame: frames.Frame) -> tuple[bool, bool]:
        """Whether frames of that sender were left out before this one, and whether it is new."""
        numbers = self._numbers.setdefault(channel, {})
        last = numbers.get(frame.sender)
        if last is not None and frame.c <= last:
            self.heard.repeated += 1
            return False, False
        numbers[frame.sender] = frame.c
        return last is not None and frame.c > last + 1, True

    def _gap(self, channel: str | None) -> None:
        """Tell the own subscribers that something may have been missed on a channel, or on any."""
        if channel is None:
            self._numbers.clear()
        elif channel == self._inbox:
            return
        chat_id = None if channel is None else frames.chat_of(channel.removeprefix(self._prefix))
        self._local.publish(Missed(chat_ids=None if chat_id is None else frozenset((chat_id,))))
