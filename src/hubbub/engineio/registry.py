"""The sessions of an engine: opened here within the limits, found here, forgotten here."""

import asyncio
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from time import time
from typing import Protocol

from hubbub.engineio.config import EngineConfig
from hubbub.engineio.flusher import Flusher
from hubbub.engineio.nodes import sid_of
from hubbub.engineio.refusals import STOPPING, TOO_MANY_SESSIONS, Refusal
from hubbub.engineio.requests import Handshake, Request, join_headers
from hubbub.engineio.session import Application, Session
from hubbub.engineio.timers import Timers
from hubbub.engineio.wire import Wire

# 128 bits from the system's generator: nobody guesses another's session.
_SID_BYTES = 16


class Socket(Protocol):
    """An open WebSocket, as far as the engine needs to know it."""

    def abort(self) -> None:
        """Cut the connection off."""


class Registry:
    """All sessions by id, and the open WebSockets (those without a session included).

    It is the `Host` of its sessions: what they share, and whom they tell.
    """

    def __init__(
        self,
        config: EngineConfig,
        application: Application,
        timers: Timers,
        flusher: Flusher,
        node: str | None = None,
    ) -> None:
        # The name that the sessions' ids begin with, where there are other nodes.
        self.node = node
        self.config = config
        self.application = application
        self.flusher = flusher
        self.wake = flusher.wake
        self.accepting = True
        self.sockets: set[Socket] = set()
        self._timers = timers
        self._sessions: dict[str, Session] = {}
        self._per_address: Counter[str] = Counter()
        self._silent = 0
        self._silent_per_address: Counter[str] = Counter()
        self._emptied: asyncio.Event | None = None

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """The sessions at this moment; they may come and go while you iterate."""
        return iter(list(self._sessions.values()))

    def get(self, sid: str) -> Session | None:
        """The session of that id."""
        return self._sessions.get(sid)

    def check_room(self, address: str) -> Refusal | None:
        """Why a client from that address cannot open a session now, if so."""
        if not self.accepting:
            return STOPPING
        config = self.config
        full = (
            _reached(len(self), config.max_sessions)
            or _reached(self._silent, config.max_silent_sessions)
            or _reached(self._per_address.get(address, 0), config.max_sessions_per_address)
            or _reached(self._silent_per_address.get(address, 0), config.max_silent_sessions_per_address)
        )
        return TOO_MANY_SESSIONS if full else None

    def open(self, request: Request, address: str, wire: Wire, now: float) -> Session:
        """Make a session; its wire must send the OPEN packet and then call `opened`."""
        handshake = Handshake(
            address=address,
            transport=wire.name,
            opened_at=time(),
            raw_query=sys.intern(request.raw_query),  # thousands of clients ask the same
            raw_headers=join_headers(request.headers),
        )
        secret = secrets.token_urlsafe(_SID_BYTES)
        sid = secret if self.node is None else sid_of(self.node, secret)
        session = Session(sid, handshake, self, wire, now)
        self._sessions[session.sid] = session
        self._per_address[address] += 1
        self._silent += 1
        self._silent_per_address[address] += 1
        self._timers.schedule(session, now + self.config.ping_interval)
        return session

    def heard(self, session: Session) -> None:
        """The session's client sent its first message."""
        self._silent -= 1
        _decrease(self._silent_per_address, session.handshake.address)

    def forget(self, session: Session) -> None:
        """The session is over."""
        self._timers.cancel(session)
        if self._sessions.pop(session.sid, None) is None:
            return
        _decrease(self._per_address, session.handshake.address)
        if session.silent:
            self.heard(session)
        self.settle()

    def settle(self) -> None:
        """Note that something left; wakes `wait_empty` when nothing is left."""
        if self._emptied is not None and not self._sessions and not self.sockets:
            self._emptied.set()

    async def wait_empty(self) -> None:
        """Wait until there is no session and no open WebSocket."""
        self._emptied = asyncio.Event()
        self.settle()
        await self._emptied.wait()


def _decrease(counts: Counter[str], address: str) -> None:
    """Count one less, and forget an address that has none left."""
    counts[address] -= 1
    if counts[address] <= 0:
        del counts[address]


def _reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit
