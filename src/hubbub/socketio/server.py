"""The server: an engine below, namespaces with their applications above.

    engine session -> Connection -> Socket, one for each namespace -> Namespace, the application

`Server.asgi` and `Server.http` are what uvicorn is given; see `hubbub.engineio.Engine`.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

from hubbub.engineio import CloseReason, Engine, Nodes, Session, closing
from hubbub.socketio.config import ServerConfig
from hubbub.socketio.connection import Connection, Shared
from hubbub.socketio.deadlines import Deadlines
from hubbub.socketio.namespaces import Namespace, Space
from hubbub.socketio.outgoing import Outgoing
from hubbub.socketio.packets import encode_event
from hubbub.socketio.sockets import Socket
from hubbub.socketio.tasks import Crew, Tasks


class Sessions:
    """What the engine calls: each session has its connection in `session.app`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def opened(self, session: Session) -> None:
        """A client opened a session."""
        session.app = Connection(session, self._shared)

    def message(self, session: Session, data: str | bytes) -> None:
        """The client sent a message."""
        if isinstance(session.app, Connection):
            session.app.receive(data)

    def ping_sent(self, session: Session) -> None:
        """A heartbeat was queued."""
        _connection(session).ping_sent()

    def pong(self, session: Session) -> None:
        """The client answered the heartbeat."""
        _connection(session).pong()

    def closed(self, session: Session, reason: CloseReason) -> None:
        """The session is over."""
        _connection(session).close(reason.name)
        session.app = None  # or both would wait for the garbage collector


def _connection(session: Session) -> Connection:
    """The connection of a session that was opened."""
    if not isinstance(session.app, Connection):
        raise TypeError("the session was not opened by this server")
    return session.app


class Server:
    """A Socket.IO server. Use on one event loop; it may be made before that runs.

    `namespaces` maps names, `/` or `/chat` say, to their applications; any other is refused with "Invalid
    namespace". `refused` is called with the address, the user agent and the reason of each request that is
    refused before it gets a session. `nodes` are the others that may have a request's session.
    """

    def __init__(
        self,
        config: ServerConfig,
        namespaces: Mapping[str, Namespace],
        refused: Callable[[str, str, str], None] | None = None,
        nodes: Nodes | None = None,
    ) -> None:
        self._spaces: dict[str, Space] = {}
        self._tasks = Tasks()
        self._crew = Crew(self._tasks)
        shared = Shared(
            config=config,
            spaces=self._spaces,
            tasks=self._tasks,
            crew=self._crew,
            entering=Deadlines(config.connect_timeout),
            assembling=Deadlines(config.attachment_timeout),
        )
        self.engine = Engine(config.engine, Sessions(shared), refused, nodes)
        for name, application in namespaces.items():
            self._spaces[name] = Space(name, application, self.engine.flusher)
        # For uvicorn.Config: its application and `http`.
        self.asgi = self.engine
        self.http = self.engine.http

    def encode(self, namespace: str, name: str, *args: object, offset: str | None = None) -> Outgoing:
        """An event to be sent to any number of sockets of `namespace`.

        Arguments are what msgspec can encode, structs and `msgspec.Raw` included; bytes in lists, tuples and
        dicts become attachments. `offset` is the event's place for connection state recovery: only sockets
        that were welcomed with a `pid` get it. End the arguments with something else than a string, since
        such clients take that for the offset.

        Raises `ValueError` for a reserved name and more than 10 attachments.
        """
        return Outgoing(*encode_event(namespace, name, args), offset)

    def broadcast(
        self, namespace: str, room: str | None, packet: Outgoing, skip: Collection[Socket] = ()
    ) -> int:
        """Send to all in the room but `skip`; None is everyone in the namespace. Returns how many."""
        members = self._spaces[namespace].rooms.find(room)
        return 0 if members is None else members.send(packet, skip)

    def broadcast_later(self, namespace: str, packet: Outgoing, skip: Collection[Socket] = ()) -> None:
        """Send to everyone now in the namespace but `skip`, not before the next `release`.

        For what can wait and comes in numbers: whatever is released together costs each socket one write. The
        next `broadcast` to everyone releases it, too; what is sent in other ways overtakes it.
        """
        self._spaces[namespace].rooms.everyone.send_later(packet, skip)

    def release(self, namespace: str) -> None:
        """Have what waits leave in this turn of the event loop, before anything that is sent from now on."""
        self._spaces[namespace].rooms.everyone.release()

    def members(self, namespace: str, room: str) -> list[Socket]:
        """The sockets in a room."""
        return list(self._spaces[namespace].rooms.find(room) or ())

    def count_members(self, namespace: str, room: str) -> int:
        """How many sockets are in a room."""
        return len(self._spaces[namespace].rooms.find(room) or ())

    def sockets(self, namespace: str) -> list[Socket]:
        """The sockets connected to a namespace."""
        return list(self._spaces[namespace].rooms.everyone)

    def find(self, namespace: str, sid: str) -> Socket | None:
        """The connected socket with this id."""
        socket = self._spaces[namespace].sockets.get(sid)
        return socket if socket is not None and socket.connected else None

    def stop_accepting(self) -> None:
        """Refuse new sessions from now on; those that are open go on."""
        self.engine.stop_accepting()

    async def close_all(self, reason: CloseReason = closing.SERVER_SHUTDOWN, timeout: float = 5.0) -> None:
        """End all sessions, and wait until clients have hung up and the applications were told.

        After `timeout` seconds clients are cut off and handlers that still run are cancelled. The server
        cannot be used again.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        await self.engine.close_all(reason, timeout)
        self._crew.dismiss()
        await self._tasks.close(end - loop.time())
        for space in self._spaces.values():
            for socket in list(space.sockets.values()):
                space.finish(socket)
