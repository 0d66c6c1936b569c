"""The ASGI side of an engine: what its HTTP protocol does not answer itself.

Those are requests that are passed on to another node, and paths that are not the engine's.
"""

from collections.abc import Awaitable, Callable
from typing import cast

from hubbub.engineio import refusals
from hubbub.engineio.nodes import ELSEWHERE, Elsewhere
from hubbub.engineio.origins import cors_headers
from hubbub.engineio.parts import Parts
from hubbub.engineio.passing import Headers, Message, Receive, Scope
from hubbub.engineio.polling import PollingWire
from hubbub.engineio.refusals import Refusal
from hubbub.engineio.requests import Request, fold_headers

Send = Callable[[Message], Awaitable[None]]


class PassingOn:
    """The ASGI application of an engine."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            raise ValueError(f"an ASGI scope of type {scope['type']!r} is none of Engine.IO's")
        request = read_scope(scope)
        relay, elsewhere = self._parts.relay, _state(scope).get(ELSEWHERE)
        if isinstance(elsewhere, Elsewhere) and relay is not None:
            answer = await relay.exchange(elsewhere.node, scope, receive, request.peer)
        else:
            outcome = self._parts.door.enter(request, PollingWire.name)
            answer = outcome if isinstance(outcome, Refusal) else refusals.BAD_REQUEST
        if isinstance(answer, Refusal):
            await self._refuse(request, send, answer)
        else:
            await _send(send, answer.status, answer.headers, answer.body)

    async def _refuse(self, request: Request, send: Send, refusal: Refusal) -> None:
        headers = [
            (b"content-type", b"application/json"),
            *cors_headers(request, self._parts.config),
            *refusal.headers,
            (b"cache-control", b"no-store"),
            (b"content-length", str(len(refusal.body)).encode()),
        ]
        await _send(send, refusal.status.value, headers, refusal.body)


def read_scope(scope: Scope) -> Request:
    """The request's head. The raw path counts: `%2e` and the like are not resolved."""
    client = cast("tuple[str, int] | None", scope.get("client"))
    return Request(
        method=cast("str", scope["method"]),
        path=cast("bytes", scope["raw_path"]).decode("latin-1"),
        raw_query=cast("bytes", scope["query_string"]).decode("latin-1"),
        headers=fold_headers(cast("Headers", scope["headers"])),
        peer=client[0] if client else "",
        secure=scope.get("scheme") == "https",
        relayed="relayed" in _state(scope),
    )


def _state(scope: Scope) -> dict[str, object]:
    return cast("dict[str, object]", scope.get("state") or {})


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
