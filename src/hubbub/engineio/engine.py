"""The engine: puts the parts together and is what a server runs.

`engine.http` goes to `uvicorn.Config(http=...)` and answers polls and WebSockets; both share the door, the
sessions and the timers. `engine` is the ASGI application for what is left: requests for other nodes.
"""

import asyncio
from functools import partial
from typing import cast

from hubbub.engineio.answering import Answering, MakeHttp
from hubbub.engineio.asgi import PassingOn, Send, read_scope
from hubbub.engineio.closing import SERVER_SHUTDOWN, CloseReason
from hubbub.engineio.config import EngineConfig
from hubbub.engineio.door import Door, RefusedListener
from hubbub.engineio.flusher import Flusher
from hubbub.engineio.guard import GuardedHttp
from hubbub.engineio.nodes import Nodes
from hubbub.engineio.origins import client_address
from hubbub.engineio.parts import Parts
from hubbub.engineio.passing import Receive, Scope
from hubbub.engineio.polling import Polling
from hubbub.engineio.registry import Registry
from hubbub.engineio.relay import Relay
from hubbub.engineio.session import Application
from hubbub.engineio.timers import Timers

# The timers' tick: this share of the shortest of the heartbeat's times, at most a quarter of a second.
_TICKS_PER_TIME = 20
_LONGEST_TICK = 0.25

# When all are closed, so many in a row, so many seconds apart: clients come back to other nodes, which should
# not get all of them in one moment. It takes at most this share of the time.
_CLOSED_AT_ONCE = 50
_CLOSING_PAUSE = 0.05
_CLOSING_SHARE = 0.5


class Engine:
    """An Engine.IO v4 server without a socket of its own.

    `refused(address, user_agent, why)` is called for each request that is turned away at the door. Run
    uvicorn with `proxy_headers=False`: the engine reads those headers itself, the same on both transports.
    With `nodes`, requests for sessions of others are passed on to them; `answering` takes what they pass on.
    """

    def __init__(
        self,
        config: EngineConfig,
        application: Application,
        refused: RefusedListener | None = None,
        nodes: Nodes | None = None,
    ) -> None:
        flusher = Flusher()
        self.timers = Timers(
            min(_LONGEST_TICK, min(config.ping_interval, config.ping_timeout) / _TICKS_PER_TIME)
        )
        self.sessions = Registry(
            config, application, self.timers, flusher, None if nodes is None else nodes.name
        )
        self.relay = None if nodes is None else Relay(nodes, config, self.timers)
        door = Door(config, self.sessions, refused)
        self._parts = Parts(config, door, self.sessions, self.timers, self.relay)
        self._polling = Polling(self._parts)
        self._passing_on = PassingOn(self._parts)
        self.flusher = flusher
        self.path = config.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request that `http` left; another path than the engine's is answered 404."""
        await self._passing_on(scope, receive, send)

    def address_of(self, scope: Scope) -> str:
        """The client's address, by the engine's own rule, for other HTTP applications on the same port."""
        return client_address(read_scope(scope), self._parts.config)

    def origin_allowed(self, scope: Scope) -> bool:
        """Whether a browser page may use this server, by the engine's own rule."""
        return self._parts.door.admits_page(read_scope(scope))

    @property
    def http(self) -> type[asyncio.Protocol]:
        """What makes the protocol of one HTTP connection, for `uvicorn.Config(http=engine.http)`."""
        return cast("type[asyncio.Protocol]", partial(GuardedHttp, self._parts, self._polling))

    def answering(self, key: bytes, make_http: MakeHttp) -> asyncio.Protocol:
        """The protocol of one connection of another node, for a listener of its own."""
        return Answering(key, self.timers, make_http)

    def stop_accepting(self) -> None:
        """Refuse new sessions with 503 from now on; those that exist go on."""
        self.sessions.accepting = False

    async def close_all(self, reason: CloseReason = SERVER_SHUTDOWN, timeout: float = 5.0) -> None:
        """End every session after flushing it, and wait until the clients have hung up.

        WebSockets get the reason's close code, polls a CLOSE packet; a thousand a second, or more if that
        would take too long. What is left after `timeout` seconds is cut off.
        """
        self.stop_accepting()
        if self.relay is not None:
            self.relay.close()
        try:
            async with asyncio.timeout(timeout):
                await self._close_in_turn(reason, timeout * _CLOSING_SHARE)
                await self.sessions.wait_empty()
                if self.relay is not None:
                    await self.relay.wait_closed()
        except TimeoutError:
            if self.relay is not None:
                self.relay.abort()
            for session in self.sessions:
                session.fail(reason)
            for socket in list(self.sessions.sockets):
                socket.abort()

    async def _close_in_turn(self, reason: CloseReason, within: float) -> None:
        sessions = list(self.sessions)
        groups = range(0, len(sessions), _CLOSED_AT_ONCE)
        pause = min(_CLOSING_PAUSE, within / max(1, len(groups)))
        for start in groups:
            if start:
                await asyncio.sleep(pause)
            for session in sessions[start : start + _CLOSED_AT_ONCE]:
                session.close(reason)
