"""Clients that each do something of their own, heard over one epoll."""

import select
import socket
import time
from collections.abc import Callable
from typing import Protocol


class Line(Protocol):
    """What can be heard: a client, or one connection of a client that has several."""

    sock: socket.socket

    def receive(self) -> None:
        """Read once; there is something to read. Raises LoadError."""


class Switchboard:
    """The lines that are open, by their descriptors."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}
        self._poll = select.epoll()

    def add(self, line: Line) -> None:
        """Hear `line` when it has something to read."""
        self._lines[line.sock.fileno()] = line
        self._poll.register(line.sock, select.EPOLLIN)

    def hang_up(self, line: Line) -> None:
        """Close its connection, without a word."""
        del self._lines[line.sock.fileno()]
        self._poll.unregister(line.sock)
        line.sock.close()

    def turn(self, seconds: float) -> None:
        """Hear everybody who has something, waiting up to `seconds` for the first."""
        select.select((self._poll,), (), (), seconds)  # an epoll itself waits in whole milliseconds
        for descriptor, _ in self._poll.poll(0, max(1, len(self._lines))):
            if (line := self._lines.get(descriptor)) is not None:
                line.receive()

    def run(self, until: Callable[[], bool], seconds: float) -> bool:
        """Turn until `until()` holds or the time is over; whether it held."""
        deadline = time.monotonic() + seconds
        while not (done := until()) and time.monotonic() < deadline:
            self.turn(0.01)
        return done

    def close(self) -> None:
        """Close all connections."""
        for line in self._lines.values():
            line.sock.close()
        self._poll.close()
