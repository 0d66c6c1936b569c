"""One connection to a Valkey: many commands in one write, replies in their order (decision 14).

    call([command, ...]) -> one write -> ... -> [reply, ...]        subscribed: every reply -> `receive`

An error reply is a `ReplyError` in the list. A line is never used again after a deadline or a failure, so no
reply is ever taken for that of another command.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

import hiredis

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = Any  # what a server answers is looked at by whoever asked

ReplyError = hiredis.ReplyError

_pack: Any = hiredis.pack_command  # its stub knows tuples of one member only


class LineLost(Exception):
    """The connection is gone, or what came over it was no reply."""


class Line(asyncio.Protocol):
    """Made by `servers.Servers`. `receive` gets what nobody asked for; `lost` is called once, at the end."""

    def __init__(
        self, receive: Callable[[Reply], None] | None = None, lost: Callable[[], None] | None = None
    ) -> None:
        self._reader = hiredis.Reader()
        self._receive = receive
        self._lost = lost
        self._transport: asyncio.WriteTransport | None = None
        # Calls under way: the replies so far, how many there will be, and who waits for them.
        self._calls: deque[tuple[list[Reply], int, asyncio.Future[list[Reply]]]] = deque()
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # Streams have no others, but those of uvloop do not say so.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        if self.is_lost:
            return
        self.is_lost = True
        calls, self._calls = self._calls, deque()
        for _, _, future in calls:
            if not future.done():
                future.set_exception(LineLost(str(exc) if exc is not None else "the server hung up"))
        if self._lost is not None:
            self._lost()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._replied(reply)
        except hiredis.ProtocolError:
            self.close()

    def _replied(self, reply: Reply) -> None:
        if not self._calls:
            if self._receive is not None:
                self._receive(reply)
            return
        replies, count, future = self._calls[0]
        replies.append(reply)
        if len(replies) == count:
            self._calls.popleft()
            if not future.done():
                future.set_result(replies)

    def call(self, commands: list[Command]) -> asyncio.Future[list[Reply]]:
        """Send commands; the future gives their replies, or fails with `LineLost`. At least one."""
        future: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        if self.is_lost:
            future.set_exception(LineLost("the connection is gone"))
            return future
        self._calls.append(([], len(commands), future))
        self.send(commands)
        return future

    def send(self, commands: Iterable[Command]) -> None:
        """Send commands of a subscriber; what they are answered goes to `receive`."""
        if self._transport is not None and not self.is_lost:
            self._transport.write(b"".join([_pack(command) for command in commands]))

    def close(self) -> None:
        """Give the connection up, and whatever is under way."""
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)


def first_error(replies: list[Reply]) -> ReplyError | None:
    """Return the first error among replies."""
    return next((reply for reply in replies if isinstance(reply, ReplyError)), None)
