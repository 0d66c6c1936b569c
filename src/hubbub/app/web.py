"""One port for both front doors: the sockets' path goes to the engine, everything else to the HTTP API."""

from hubbub.app.chat_parts import ChatParts
from hubbub.http import HttpParts, Metrics, make_http
from hubbub.http.asgi import Receive, Scope, Send
from hubbub.socketio import Server
from hubbub.store.base import Store, StoreError


class Web:
    """The ASGI application that is served. `draining` is set when the server is about to stop."""

    def __init__(self, chat: ChatParts, server: Server, store: Store, metrics: Metrics) -> None:
        self.draining = False
        self._store = store
        self._sockets = server.engine
        self._socket_path = server.engine.path
        self._api = make_http(
            HttpParts(
                tokens=chat.requests.tokens,
                accounts=chat.accounts,
                chats=chat.chats,
                limits=chat.requests.limits,
                overview=chat.requests.overview,
                metrics=metrics,
                problems=self._problems,
                address_of=server.engine.address_of,
                origin_allowed=server.engine.origin_allowed,
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        path = scope.get("path", "")
        if path.rstrip("/") + "/" == self._socket_path:
            await self._sockets(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def _problems(self) -> list[str]:
        """Return why requests should go elsewhere now."""
        if self.draining:
            return ["The server is stopping"]
        try:
            await self._store.check()
        except StoreError:
            return ["The database does not answer"]
        return []
