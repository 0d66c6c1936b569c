"""Passing requests on to the node that has their session: polls, POSTs and WebSockets.

Bytes are passed on; what they mean is judged by the node that has the session, and by it alone. Whatever
goes wrong on the way is answered as an unknown session is, and the client begins a new one.
"""

import asyncio
import logging
from typing import Protocol

from hubbub.engineio import refusals
from hubbub.engineio.config import EngineConfig
from hubbub.engineio.dialling import NoSuchNode, dial
from hubbub.engineio.nodes import Nodes
from hubbub.engineio.passing import Answer, Receive, Scope, exchange
from hubbub.engineio.pipe import Pipe
from hubbub.engineio.refusals import Refusal
from hubbub.engineio.timers import Timers

log = logging.getLogger(__name__)


class Handed(Protocol):
    """A WebSocket's connection that is to be passed on, until it has been."""

    def let_go(self) -> None:
        """The connection has another protocol now."""

    def refuse(self, refusal: Refusal) -> None:
        """The session cannot be reached."""


class Relay:
    """What an engine among others passes on."""

    def __init__(self, nodes: Nodes, config: EngineConfig, timers: Timers) -> None:
        self.nodes = nodes
        self._timers = timers
        # Longer than this no session lives without a sign of its client.
        self._patience = config.ping_interval + config.ping_timeout
        self._pipes: set[Pipe] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._joining: set[asyncio.Task[None]] = set()
        self._exchanges: set[asyncio.Timeout] = set()
        self._closed = False
        # How many requests and WebSockets were passed on, and how many not, since their node did not answer.
        self.passed = 0
        self.failed = 0

    def __len__(self) -> int:
        """How many WebSockets are passed on now."""
        return len(self._pipes)

    async def exchange(self, node: str, scope: Scope, receive: Receive, peer: str) -> Answer | Refusal:
        """Have a node answer an HTTP request."""
        if self._closed:
            return refusals.STOPPING
        try:
            there = await self._dial(node, peer)
            async with asyncio.timeout(self._patience) as limit:
                self._exchanges.add(limit)
                try:
                    return await exchange(there, scope, receive)
                finally:
                    self._exchanges.discard(limit)
        except OSError:
            return self._why_not()

    def join(self, node: str, head: bytes, client: asyncio.Transport, handed: Handed) -> None:
        """Pass a WebSocket on, whose upgrade request is `head`."""
        if self._closed:
            handed.refuse(refusals.STOPPING)
            return
        client.pause_reading()
        task = asyncio.create_task(self._join(node, head, client, handed))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _join(self, node: str, head: bytes, client: asyncio.Transport, handed: Handed) -> None:
        peer = client.get_extra_info("peername")
        try:
            there = await self._dial(node, peer[0] if isinstance(peer, tuple) else "")
        except asyncio.CancelledError:
            client.abort()
            raise
        except OSError:
            if not client.is_closing():
                handed.refuse(refusals.UNKNOWN_SESSION)
            return
        if client.is_closing():
            there.abort()
            return
        there.write(head)
        self._idle.clear()
        pipe = Pipe(client, there, self._timers, self._patience, self._ended)
        if not pipe.is_over:
            self._pipes.add(pipe)
        handed.let_go()

    def _ended(self, pipe: Pipe) -> None:
        self._pipes.discard(pipe)
        if not self._pipes:
            self._idle.set()

    def _why_not(self) -> Refusal:
        """Asked anew each time: it may have been closed meanwhile."""
        return refusals.STOPPING if self._closed else refusals.UNKNOWN_SESSION

    async def _dial(self, node: str, peer: str) -> asyncio.Transport:
        try:
            there = await dial(self.nodes, node, peer)
        except NoSuchNode:
            raise
        except OSError as error:
            self.failed += 1
            log.debug("node %s does not answer: %s", node, str(error) or type(error).__name__)
            raise
        if self._closed:
            there.abort()
            raise ConnectionAbortedError("stopping")
        self.passed += 1
        return there

    def close(self) -> None:
        """Begin to dismiss all whose session is elsewhere: they come back over another node."""
        self._closed = True
        for limit in self._exchanges:
            if not limit.expired():
                limit.reschedule(0)
        for task in self._joining:
            task.cancel()
        for pipe in list(self._pipes):
            pipe.dismiss()

    async def wait_closed(self) -> None:
        """Wait until those whose WebSockets were passed on have hung up. `close` it first."""
        await self._idle.wait()

    def abort(self) -> None:
        """Hang up on all who are left."""
        for pipe in list(self._pipes):
            pipe.close()
