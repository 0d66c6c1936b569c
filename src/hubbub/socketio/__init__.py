"""A Socket.IO server, protocol v5, on top of `hubbub.engineio`: a library of its own.

    class Echo:                                              # implements `Namespace`
        async def connect(self, socket, auth): return Welcome()
        async def event(self, socket, name, args): return args
        def connected(self, socket): socket.emit("hello")
        ...

    server = Server(ServerConfig(), {"/": Echo()})
    uvicorn.Config(server.asgi, http=server.http, ws="none", proxy_headers=False)

Events of one connection are handed over one after the other, in the order in which they came. What is sent is
queued in the bounded outbox of the engine session and leaves at the end of the event loop's turn; a client
that does not read is disconnected. A client that breaks the protocol loses its own connection, "parse error",
and nobody else notices.
"""

from hubbub.socketio.config import ServerConfig
from hubbub.socketio.deferred import Deferred
from hubbub.socketio.namespaces import Ack, ConnectionRefused, Namespace, TryAgainLater, Welcome
from hubbub.socketio.outgoing import Outgoing
from hubbub.socketio.server import Server
from hubbub.socketio.sockets import NotConnectedError, Socket

__all__ = [
    "Ack",
    "ConnectionRefused",
    "Deferred",
    "Namespace",
    "NotConnectedError",
    "Outgoing",
    "Server",
    "ServerConfig",
    "Socket",
    "TryAgainLater",
    "Welcome",
]
