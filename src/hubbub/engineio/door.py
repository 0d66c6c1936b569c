"""The door: what every request must pass before it reaches a session, the same on every method and
transport.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from hubbub.engineio import refusals
from hubbub.engineio.config import EngineConfig
from hubbub.engineio.handshake import check_upgrade
from hubbub.engineio.nodes import Elsewhere, node_of
from hubbub.engineio.origins import client_address, origin_allowed
from hubbub.engineio.refusals import Refusal
from hubbub.engineio.registry import Registry
from hubbub.engineio.requests import Request, parse_query
from hubbub.engineio.session import Session

_PROTOCOL_VERSION = "4"
_TRANSPORTS = frozenset(("polling", "websocket"))
_MAX_QUERY = 4096
_LONGEST_ORIGIN = 200
# Anybody can send foreign origins by the thousand: one line in so many seconds, the others at debug.
_TELL_ORIGINS_EVERY = 60.0

log = logging.getLogger(__name__)

# Called with the client's address, its User-Agent and why it was refused.
RefusedListener = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that passed. `session` is None when it asks for a new one."""

    address: str
    session: Session | None


class Door:
    """Checks requests; a refused one is told to the listener, so that failures can be counted."""

    def __init__(self, config: EngineConfig, registry: Registry, refused: RefusedListener | None) -> None:
        self._config = config
        self._registry = registry
        self._refused = refused
        path = config.path.rstrip("/")
        self._paths = frozenset((path, path + "/"))
        self._tell_origins_from = 0.0

    def is_own_path(self, path: str) -> bool:
        """Whether a raw path is the engine's."""
        return path in self._paths

    def enter(self, request: Request, transport: str) -> Admission | Elsewhere | Refusal:
        """Check a request that came by `transport`: path, origin, query, session and WebSocket handshake."""
        address = client_address(request, self._config)
        outcome = self.check_origin(request) or self._find(request, transport, address)
        if transport == "websocket" and not isinstance(outcome, Refusal):
            outcome = check_upgrade(request) or outcome
        if isinstance(outcome, Refusal):
            log.debug("request of %s refused: %s", address, outcome.message)
            if self._refused is not None:
                self._refused(address, request.headers.get("user-agent", ""), outcome.message)
        return outcome

    def check_origin(self, request: Request) -> Refusal | None:
        """Check what a CORS preflight must pass, too: path and origin."""
        if request.path not in self._paths:
            return refusals.UNKNOWN_PATH
        return None if self.admits_page(request) else refusals.FOREIGN_ORIGIN

    def admits_page(self, request: Request) -> bool:
        """Check the origin alone; one that is refused is told to the operator, who may have to allow it."""
        if origin_allowed(request, self._config):
            return True
        now = monotonic()
        level = logging.DEBUG
        if now >= self._tell_origins_from:
            level, self._tell_origins_from = logging.INFO, now + _TELL_ORIGINS_EVERY
        origin = request.headers.get("origin", "")[:_LONGEST_ORIGIN]
        log.log(level, "a page of %r is refused (403): its origin is not in allowed_origins", origin)
        return False

    def _find(self, request: Request, transport: str, address: str) -> Admission | Elsewhere | Refusal:
        query = _read_query(request, transport)
        if isinstance(query, Refusal):
            return query
        if "sid" in query:
            session = self._registry.get(query["sid"])
            if session is not None:
                return Admission(address, session)
            return self._elsewhere(request, query["sid"]) or refusals.UNKNOWN_SESSION
        if request.method != "GET":
            return refusals.BAD_METHOD
        return self._registry.check_room(address) or Admission(address, None)

    def _elsewhere(self, request: Request, sid: str) -> Elsewhere | None:
        """Whose session that may be, if another node's; what was passed on once is not again."""
        own, node = self._registry.node, node_of(sid)
        if own is None or request.relayed or not node or node == own:
            return None
        return Elsewhere(node)


def _read_query(request: Request, transport: str) -> dict[str, str] | Refusal:
    """The query's fields, when they fit the protocol (spec section "Query parameters")."""
    if len(request.raw_query) > _MAX_QUERY:
        return refusals.QUERY_TOO_LONG
    try:
        query = parse_query(request.raw_query)
    except ValueError:
        return refusals.BAD_REQUEST
    if query.get("transport") not in _TRANSPORTS:
        return refusals.UNKNOWN_TRANSPORT
    if query.get("EIO") != _PROTOCOL_VERSION:
        return refusals.UNKNOWN_VERSION
    # JSONP (`j`) went with protocol version 3; it would let any page read the answers.
    if query["transport"] != transport or "j" in query:
        return refusals.BAD_REQUEST
    return query
