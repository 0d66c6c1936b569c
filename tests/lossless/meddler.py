"""Somebody on the bus who repeats, delays, swaps and damages what nodes say, or says it in other words."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import hiredis
import msgspec

from tests.lossless.waiting import wait_until

PREFIX: Final = "hubbub:0:"
LATER: Final = 0.7
"""Seconds by which some frames come late."""
KEPT: Final = 0.3
"""The share of frames that come again when all meddling is over: the log has long gone on."""
PATIENCE: Final = 20.0
"""Seconds until what was kept must have come."""


_pack: Any = hiredis.pack_command  # its stub knows tuples of one member only


def version(number: int) -> Callable[[bytes], bytes]:
    """In a version of before or of later, where fields mean something else: whoever reads it is misled."""

    def make(frame: bytes) -> bytes:
        fields = _read(frame) | {"v": number, "n": "meddler", "c": 0}
        message = fields["b"].get("message") if isinstance(fields["b"], dict) else None
        if isinstance(message, dict):
            message |= {"seq": message["seq"] + 1, "content": "misread"}
        return msgspec.msgpack.encode(fields)

    return make


def more_fields(frame: bytes) -> bytes:
    """As a later version may say it: with fields that this one does not know, everywhere."""
    fields = _read(frame)
    fields |= {"n": "meddler", "c": 0, "unheard": {"of": [1, 2]}}
    if isinstance(fields["b"], dict):
        fields["b"] |= {"later": True}
        if isinstance(fields["b"].get("message"), dict):
            fields["b"]["message"] |= {"reactions": []}
    return msgspec.msgpack.encode(fields)


def unknown_kind(frame: bytes) -> bytes:
    """As a later version may say something else."""
    return _changed(frame, {"n": "meddler", "c": 0, "k": "telepathy"})


def from_stranger(frame: bytes) -> bytes:
    """The same as if another node had said it."""
    return _changed(frame, {"n": "meddler", "c": 0})


def torn(frame: bytes) -> bytes:
    """Its first half."""
    return frame[: len(frame) // 2]


def flipped(frame: bytes) -> bytes:
    """With a bit of its head wrong: no later field can make sense then."""
    return bytes([frame[0] ^ 0x40]) + frame[1:]


def _read(frame: bytes) -> dict[str, Any]:
    return msgspec.msgpack.decode(frame, type=dict[str, Any])


def _changed(frame: bytes, fields: dict[str, object]) -> bytes:
    return msgspec.msgpack.encode(_read(frame) | fields)


def as_it_is(frame: bytes) -> bytes:
    """The same once more."""
    return frame


WAYS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    as_it_is,
    from_stranger,
    more_fields,
    version(0),
    version(2),
    unknown_kind,
    torn,
    flipped,
)


class Meddler:
    """Hears all of these channels, and answers each frame with others. What it keeps it says at the end."""

    def __init__(self, channels: Collection[str]) -> None:
        self._channels = channels
        self._random = random.Random("meddler")
        self._reader = hiredis.Reader()
        self._kept: list[tuple[bytes, list[bytes]]] = []
        self._said: set[bytes] = set()
        # Of what was kept, said by now, and not heard yet.
        self._due: set[bytes] = set()
        self._voice: asyncio.StreamWriter | None = None

    async def run(self, path: Path) -> None:
        """Meddle until cancelled."""
        reader, writer = await asyncio.open_unix_connection(path)
        _, voice = await asyncio.open_unix_connection(path)
        self._voice = voice
        try:
            for channel in self._channels:
                writer.write(_pack(("SSUBSCRIBE", PREFIX + channel)))
            while data := await reader.read(65_536):
                self._reader.feed(data)
                while (told := self._reader.gets()) is not False:
                    if told[0] == b"smessage":
                        self._heard(told[1], told[2], voice)
        finally:
            writer.transport.abort()
            voice.transport.abort()

    async def say_what_was_kept(self) -> None:
        """Say what was kept; returns when it has come back from the bus."""
        assert self._voice is not None
        kept, self._kept = self._kept, []
        self._random.shuffle(kept)
        self._due = {frame for _, frames in kept for frame in frames}
        for channel, frames in kept:
            self._say(channel, frames, self._voice)
        assert await wait_until(lambda: not self._due, PATIENCE), "what was kept never came"

    def _heard(self, channel: bytes, frame: bytes, voice: asyncio.StreamWriter) -> None:
        self._due.discard(frame)
        if frame not in self._said:
            self._answer(channel, frame, voice)

    def _answer(self, channel: bytes, frame: bytes, voice: asyncio.StreamWriter) -> None:
        made = [self._random.choice(WAYS)(frame) for _ in range(3)]
        self._random.shuffle(made)
        self._say(channel, made, voice)
        if self._random.random() < KEPT:
            self._kept.append((channel, [frame, *made]))
        asyncio.get_running_loop().call_later(LATER * self._random.random(), self._say, channel, made, voice)

    def _say(self, channel: bytes, frames: list[bytes], voice: asyncio.StreamWriter) -> None:
        self._said.update(frames)
        if not voice.is_closing():
            for frame in frames:
                voice.write(_pack(("SPUBLISH", channel, frame)))


@asynccontextmanager
async def meddling(path: Path, chats: Collection[str]) -> AsyncIterator[None]:
    """Meddle with the bus on a Valkey for the block."""
    meddler = Meddler(["all", *(f"chat:{chat}" for chat in chats)])
    running = asyncio.create_task(meddler.run(path))
    try:
        yield
        assert not running.done(), running.result()
        await meddler.say_what_was_kept()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
