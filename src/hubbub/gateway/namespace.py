"""The namespace `/chat` (docs/life-of-a-message.md).

A client's life, from CONNECT until everything about it has been cleared away.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping

from hubbub.chat.failures import translate
from hubbub.cluster.base import CutOff, Expel, Telling
from hubbub.contract import events
from hubbub.contract.requests import SendMessage
from hubbub.contract.values import now
from hubbub.gateway.clients import Client, Clients
from hubbub.gateway.delivery import Delivery
from hubbub.gateway.dispatch import Dispatch
from hubbub.gateway.expiry import Expiry
from hubbub.gateway.handlers import Parts, enter_room
from hubbub.gateway.login import Entrance, Login
from hubbub.socketio import Ack, Socket, Welcome

log = logging.getLogger(__name__)

# Somebody said that it was over, rather than that the network did.
_ON_PURPOSE = frozenset(("client namespace disconnect", "server namespace disconnect"))


class ChatNamespace:
    """What Socket.IO calls for the sockets of `/chat`, and what the bus tells of their users."""

    def __init__(self, parts: Parts, login: Login, clients: Clients) -> None:
        self._parts = parts
        self._login = login
        self._clients = clients
        self._tasks: set[asyncio.Task[None]] = set()
        self._entering: dict[Socket, Entrance] = {}

    def serve(self, delivery: Delivery, dispatch: Dispatch, expiry: Expiry) -> None:
        """Take the parts that are made after the server this namespace belongs to. Must be called once, at
        first.
        """
        self._delivery = delivery
        self._dispatch = dispatch
        self._expiry = expiry

    # What Socket.IO calls.

    async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
        """Let a client in, or raise `ConnectionRefused`."""
        entrance = await self._login.enter(socket, auth, self._delivery)
        self._entering[socket] = entrance
        return entrance.welcome

    def connected(self, socket: Socket) -> None:
        """The client was welcomed: send what it missed, and tell the others."""
        entrance = self._entering.pop(socket)
        client = entrance.client
        socket.data = client
        client.is_in = True
        if client.is_over:
            client.end()
        self._expiry.watch(client)
        replay = [one for one in entrance.replay if one.message.chat_id in client.rooms]  # not lost meanwhile
        for telling in replay:
            socket.send(self._delivery.encode_message(telling))
        kept = self._delivery.release(client, list(client.rooms))
        client.trail.follow(self._delivery.count(), [*replay, *kept])
        log.debug("user %r connected from %s as %s", client.who.user_id, client.who.address, socket.id)
        self._parts.monitoring.connected(client.who, socket.session.transport)
        client.arriving = self._spawn(self._arrive(client))

    async def event(self, socket: Socket, name: str, args: list[object]) -> Ack:
        """Answer a request."""
        client = _client(socket)
        # A message is the log's alone; for all else the client is first to be where it is said to be.
        if client.arriving is not None and name != SendMessage.event:
            await asyncio.wait((client.arriving,))
        client.trail.last_activity = at = now()
        self._parts.presence.touch(client.who, at)
        return await self._dispatch.handle(client, name, args)

    def ping_sent(self, socket: Socket) -> None:
        """A heartbeat goes out: its answer will confirm what was told until now."""
        client = _client(socket)
        self._parts.recovery.ping_sent(client.trail, self._delivery.live(client), self._delivery.count())

    def pong(self, socket: Socket) -> None:
        """A heartbeat was answered."""
        client = _client(socket)
        self._parts.recovery.pong(client.trail)

    def disconnected(self, socket: Socket, reason: str) -> None:
        """The client is gone."""
        self._spawn(self._clear(_client(socket), reason))

    # A client's coming and going.

    async def _arrive(self, client: Client) -> None:
        try:
            online = await self._parts.presence.connected(client.who)
            client.socket.emit(online.event, online)
            for chat_id in list(client.rooms):
                await enter_room(self._parts.rooms, client, chat_id)
        finally:
            client.arriving = None  # a client that is idle owns no task, not even one that is done

    async def _clear(self, client: Client, reason: str) -> None:
        """Clear away everything about a client, whatever fails on the way."""
        try:
            await self._give_up(client, reason)
        finally:
            self._clients.discard(client)

    async def _give_up(self, client: Client, reason: str) -> None:
        who, rooms = client.who, list(client.rooms)
        log.debug("user %r from %s, %s, is gone: %s", who.user_id, who.address, who.socket_id, reason)
        self._expiry.forget(client)
        if client.arriving is not None:
            await asyncio.wait((client.arriving,))
        # One that a later connection of the same session has ended is not over.
        on_purpose = reason in _ON_PURPOSE and client.ended is None
        told = None if on_purpose else self._delivery.last_told(client)
        await self._attempt(self._parts.recovery.end(client.trail, told, on_purpose=on_purpose))
        for chat_id in rooms:
            self._delivery.leave(client, chat_id)
            await self._attempt(self._parts.rooms.leave(client.who, chat_id))
        await self._attempt(self._parts.presence.disconnected(client.who))
        self._parts.monitoring.disconnected(client.who, reason, client.socket.session.transport)

    async def _attempt(self, step: Coroutine[object, object, object]) -> None:
        try:
            await step
        except Exception as error:
            log.warning(
                "a step of clearing a client away failed: %s", error, exc_info=translate(error) is None
            )

    # What the bus tells.

    def heard(self, telling: Telling) -> None:
        """Act on what concerns sockets rather than goes to them."""
        if isinstance(telling, Expel):
            for client in list(self._clients.of_user(telling.user_id)):
                client.revocations += 1
                if telling.chat_id in client.rooms:
                    self._delivery.leave(client, telling.chat_id)
                    self._spawn(self._expel(client, telling.chat_id))
        elif isinstance(telling, CutOff):
            for client in list(self._clients.of_user(telling.user_id)):
                client.end()

    async def _expel(self, client: Client, chat_id: str) -> None:
        left = await self._parts.rooms.leave(client.who, chat_id)
        client.socket.emit(left.event, left)
        self._parts.recovery.expelled(client.trail, chat_id)

    # Closing.

    def announce_closing(self, longest: int) -> None:
        """Tell all clients that the server is about to go, and to come back after 1 to `longest` seconds: not
        all in the same moment.
        """
        notices = [
            events.ServerNotice(
                reason="server shutting down",
                message="The server is restarting. Please reconnect.",
                retry_after=seconds,
            )
            for seconds in range(1, longest + 1)
        ]
        self._delivery.tell_in_turn(notices)

    async def close(self) -> None:
        """Wait until everybody who has left is cleared away."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a client's coming or going failed", exc_info=error)


def _client(socket: Socket) -> Client:
    """The client of a socket that was welcomed."""
    if not isinstance(socket.data, Client):
        raise TypeError("the socket was not welcomed by this namespace")
    return socket.data
