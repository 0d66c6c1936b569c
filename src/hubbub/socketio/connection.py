# A stretch of the way in docs/life-of-a-message.md.
"""A connection: what one engine session is to Socket.IO.

    message -> packets.decode -> CONNECT: a task asks the namespace's application
                              -> EVENT: the inbox
                              -> ACK: whoever waits for it in Socket.call
                              -> DISCONNECT: the socket leaves

What is malformed, or has no place where the connection stands, ends it: "parse error". So does a deadline: a
connection is in a namespace, or waits for the answer to its CONNECT, or has `connect_timeout` left.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from hubbub.engineio import CloseReason, Session, closing, prepare_text
from hubbub.socketio.config import ServerConfig
from hubbub.socketio.deadlines import Deadlines
from hubbub.socketio.inbox import Inbox
from hubbub.socketio.namespaces import ConnectionRefused, Space, TryAgainLater, Welcome
from hubbub.socketio.packets import (
    Ack,
    Assembly,
    Connect,
    Encoded,
    Event,
    Packet,
    decode,
    encode_connect,
    encode_connect_error,
    encode_disconnect,
)
from hubbub.socketio.payloads import PacketError
from hubbub.socketio.sockets import Socket, State
from hubbub.socketio.tasks import Crew, Tasks, being_cancelled

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = CloseReason("connect timeout", 1008, reconnect=True)
"""The client entered no namespace in time."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of a server have in common."""

    config: ServerConfig
    spaces: Mapping[str, Space]
    tasks: Tasks
    crew: Crew
    entering: Deadlines
    assembling: Deadlines


class Connection:
    """One client and its sockets, one for each namespace that it is in."""

    __slots__ = ("_assembly", "_inbox", "_refused", "_session", "_shared", "_sockets", "_strays")

    def __init__(self, session: Session, shared: Shared) -> None:
        self._session = session
        self._shared = shared
        # The socket of each namespace that was entered or asked for; None: it has left. Packets for that one
        # may have been on their way, so they are dropped; packets for a namespace that is not in here are an
        # error.
        self._sockets: dict[str, Socket | None] = {}
        # How often a namespace was asked for that does not exist.
        self._strays = 0
        # Whether an application refused it, which is why it may be in no namespace.
        self._refused = False

        # A packet whose attachments are on their way.
        self._assembly: Assembly | None = None
        self._inbox = Inbox(session, shared.spaces, shared.crew, shared.config.inbox_limit)
        shared.entering.start(self._refuse_to_wait)

    # What the engine calls.

    def receive(self, data: str | bytes) -> None:
        """Take a message from the client; there is none after the session was closed."""
        try:
            packet = self._read(data)
            if packet is not None:
                self._dispatch(packet)
        except PacketError as error:
            self._fail(closing.PARSE_ERROR, str(error))

    def ping_sent(self) -> None:
        """A heartbeat was queued."""
        for socket in self._connected():
            space = self._shared.spaces[socket.namespace]
            space.tell(space.application.ping_sent, socket)

    def pong(self) -> None:
        """The heartbeat was answered."""
        for socket in self._connected():
            space = self._shared.spaces[socket.namespace]
            space.tell(space.application.pong, socket)

    def close(self, reason: str) -> None:
        """Nothing more comes or goes: all sockets leave."""
        self._assembly = None
        self._shared.assembling.stop(self._refuse_to_assemble)
        for socket in list(self._sockets.values()):
            if socket is not None:
                self._drop(socket, reason)
        self._shared.entering.stop(self._refuse_to_wait)

    # What a socket calls.

    def leave(self, socket: Socket, *, close: bool) -> None:
        """End a socket's stay on the server's word; that of all of them and the connection if `close`."""
        for one in self._connected():
            if close or one is socket:
                self._send(encode_disconnect(one.namespace))
                self._inbox.forget(one)
                self._drop(one, "server namespace disconnect")
        if close:
            self.close(closing.FORCED_CLOSE.name)
            self._session.close(closing.FORCED_CLOSE)

    # What arrives.

    def _read(self, data: str | bytes) -> Packet | None:
        """The packet that is whole with `data`, if one is."""
        if isinstance(data, bytes):
            return self._read_attachment(data)
        if self._assembly is not None:
            raise PacketError("text where an attachment was announced")
        packet = decode(data)
        if isinstance(packet, Assembly):
            self._find(packet.packet.namespace)  # before anything is kept for it
            self._assembly = packet
            self._shared.assembling.start(self._refuse_to_assemble)
            return None
        return packet

    def _read_attachment(self, data: bytes) -> Packet | None:
        """The packet that is whole with this attachment, if one is."""
        if self._assembly is None:
            raise PacketError("binary data that was not announced")
        packet = self._assembly.add(data)
        if packet is not None:
            self._assembly = None
            self._shared.assembling.stop(self._refuse_to_assemble)
        return packet

    def _dispatch(self, packet: Packet) -> None:
        """Act on a whole packet."""
        if isinstance(packet, Event):
            if (socket := self._find(packet.namespace)) is not None:
                self._inbox.put(socket, packet)
            else:
                self._session.count_idle_frame()
        elif isinstance(packet, Ack):
            socket = self._find(packet.namespace)
            if socket is None or not socket.take_answer(packet):
                self._session.count_idle_frame()
        elif isinstance(packet, Connect):
            self._enter(packet)
        else:
            self._exit(packet.namespace)

    def _find(self, namespace: str) -> Socket | None:
        """The socket that a packet is for, None if it has left; an error if it has not entered."""
        socket = self._sockets.get(namespace)
        if socket is None:
            if namespace not in self._sockets:
                raise PacketError("a packet for a namespace that was not entered")
        elif socket.state is State.CONNECTING:
            raise PacketError("a packet before the answer to CONNECT")
        return socket

    # Coming and going.

    def _enter(self, packet: Connect) -> None:
        """The client asks to enter a namespace."""
        limit = self._shared.config.max_namespaces
        space = self._shared.spaces.get(packet.namespace)
        if space is None:
            self._turn_away(packet.namespace, limit)
            return
        name = space.name  # the same string for all connections
        if self._sockets.get(name) is not None:
            raise PacketError("a second CONNECT to the same namespace")
        if sum(socket is not None for socket in self._sockets.values()) >= limit:
            raise PacketError(f"more than {limit} namespaces at a time")
        socket = Socket(name, self._session, space.rooms, self)
        self._sockets[name] = socket
        self._shared.entering.stop(self._refuse_to_wait)
        socket.admission = self._shared.tasks.spawn(self._admit(space, socket, packet.auth))

    def _turn_away(self, name: str, limit: int) -> None:
        """Refuse a namespace that does not exist."""
        self._strays += 1
        if self._strays > limit or not name.isprintable():
            raise PacketError("a namespace that cannot exist, or too many that do not")
        self._send(encode_connect_error(name, "Invalid namespace", None))

    async def _admit(self, space: Space, socket: Socket, auth: Mapping[str, object]) -> None:
        """Ask the application whether a socket may enter."""
        try:
            welcome = await space.application.connect(socket, auth)
            await space.free(welcome.sid or socket.id)
        except ConnectionRefused as refusal:
            self._refuse(socket, refusal)
        except TryAgainLater as reason:
            self._put_off(socket, reason)
        except (Exception, asyncio.CancelledError):
            if being_cancelled():
                raise
            log.exception("an error in connect of namespace %s", space.name)
            self._refuse(socket, ConnectionRefused("Internal server error"))
        else:
            self._welcome(space, socket, welcome)

    def _welcome(self, space: Space, socket: Socket, welcome: Welcome) -> None:
        """Let a socket enter, unless it has left meanwhile."""
        if socket.state is State.CONNECTING:
            socket.admit(welcome.sid or socket.id, recovers=welcome.pid is not None)
            space.sockets[socket.id] = socket
            self._send(encode_connect(space.name, socket.id, welcome.pid))
            space.tell(space.application.connected, socket)

    def _refuse(self, socket: Socket, refusal: ConnectionRefused) -> None:
        """Do not let a socket enter."""
        if socket.state is State.CONNECTING:
            socket.state = State.LEFT
            del self._sockets[socket.namespace]
            self._refused = True
            self._check_idle()
            self._send(encode_connect_error(socket.namespace, refusal.message, refusal.data))

    def _put_off(self, socket: Socket, reason: TryAgainLater) -> None:
        """Have the client come back, unless it has left meanwhile."""
        if socket.state is State.CONNECTING:
            socket.state = State.LEFT
            del self._sockets[socket.namespace]
            self._fail(closing.TRY_AGAIN_LATER, str(reason))

    def _exit(self, namespace: str) -> None:
        """The client leaves a namespace, or takes its CONNECT back."""
        if namespace not in self._sockets:
            raise PacketError("a packet for a namespace that was not entered")
        socket = self._sockets[namespace]
        if socket is not None:
            self._drop(socket, "client namespace disconnect")

    def _drop(self, socket: Socket, reason: str) -> None:
        """A socket leaves, whatever it is doing."""
        self._sockets[socket.namespace] = None
        if socket.state is State.CONNECTING:
            socket.state = State.LEFT
            if socket.admission is not None:
                socket.admission.cancel()
        else:
            socket.withdraw(reason)
            self._inbox.end(socket)
        self._check_idle()

    # Deadlines and other ends.

    def _check_idle(self) -> None:
        """Without any namespace a connection has little time left."""
        if not any(self._sockets.values()):
            self._shared.entering.start(self._refuse_to_wait)

    def _refuse_to_wait(self) -> None:
        if not self._refused:  # else the application knows why, and has told
            asked = "only ones that do not exist" if self._strays else "none"
            address = self._session.handshake.address
            log.debug("connection of %s closed: of all namespaces it asked for %s in time", address, asked)
        self._end(CONNECT_TIMEOUT)

    def _refuse_to_assemble(self) -> None:
        self._fail(closing.PARSE_ERROR, "the attachments of a packet did not arrive in time")

    def _fail(self, reason: CloseReason, why: str) -> None:
        """End the connection: one line in the log, nothing more."""
        log.debug("connection of %s closed, %s: %s", self._session.handshake.address, reason.name, why)
        self._end(reason)

    def _end(self, reason: CloseReason) -> None:
        self.close(reason.name)
        self._session.close(reason)

    def _connected(self) -> list[Socket]:
        """The sockets that are in their namespaces."""
        return [socket for socket in self._sockets.values() if socket is not None and socket.connected]

    def _send(self, encoded: Encoded) -> None:
        """Queue a packet without attachments."""
        self._session.send(prepare_text(encoded[0]))
