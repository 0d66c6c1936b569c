"""What happens to every request before and after it is routed: origin, CORS, security headers, timing.

A page of a foreign origin changes nothing here (403) and reads nothing (no CORS headers); the rule is the
same as at the socket's front door.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from hubbub.contract.errors import Code, Failure
from hubbub.http.asgi import Application, Message, Receive, Scope, Send
from hubbub.http.metrics import OTHER, Durations

log = logging.getLogger(__name__)

SAFE: Final = ("GET", "OPTIONS")
SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"600"),
)
FOREIGN: Final = "Origin not allowed; see allowed_origins"
EXPOSED: Final = (b"access-control-expose-headers", b"retry-after, www-authenticate")


class Front:
    """Wraps the routed application."""

    def __init__(
        self, app: Application, origin_allowed: Callable[[Scope], bool], durations: Durations
    ) -> None:
        """`durations` counts by method and route template."""
        self._app = app
        self._origin_allowed = origin_allowed
        self._durations = durations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        allowed = origin is None or self._origin_allowed(scope)
        extra = [*SECURITY, (b"vary", b"Origin"), *(cors(origin) if allowed else ())]
        if scope["method"] == "HEAD":  # the answer of GET; the HTTP server leaves its content out
            scope = {**scope, "method": "GET"}
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = with_defaults(list(message["headers"]), extra)
            await send(message)

        if (
            origin is not None
            and b"access-control-request-method" in headers
            and scope["method"] == "OPTIONS"
        ):
            await preflight(allowed, send_with_headers)
        elif not allowed and scope["method"] not in SAFE:
            await refuse_origin(send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)
        took = time.perf_counter() - started
        self._durations.observe(route_of(scope), took)
        log.debug("%s: %s, %.1f ms", route_of(scope), status, took * 1000)


def cors(origin: bytes | None) -> list[tuple[bytes, bytes]]:
    """What lets the page of an allowed origin read the answer; scripts send the token: no credentials."""
    return [] if origin is None else [(b"access-control-allow-origin", origin), EXPOSED]


def with_defaults(
    headers: list[tuple[bytes, bytes]], defaults: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, and those defaults that it does not have."""
    names = {name.lower() for name, _ in headers}
    return headers + [(name, value) for name, value in defaults if name not in names]


async def preflight(allowed: bool, send: Send) -> None:
    """Answer the question of a browser whether its page may ask."""
    headers = list(PREFLIGHT) if allowed else []
    status = 204 if allowed else 403
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def refuse_origin(send: Send) -> None:
    """Answer a page that has no business here."""
    body = msgspec.json.encode(Failure(success=False, message=FOREIGN, code=Code.FORBIDDEN))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def route_of(scope: Scope) -> str:
    """The route that a request came to, by method and template; `other` when it came to none."""
    template = scope.get("path_template")
    return f"{scope['method']} {template}" if template else OTHER
