"""What a refused request is answered: one table, the same over HTTP and for a WebSocket upgrade."""

import json
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is not success. `code` is the number that Engine.IO clients know, where there is one."""

    status: HTTPStatus
    message: str
    code: int = 3
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def body(self) -> bytes:
        """The JSON body, in the shape the reference server uses."""
        return json.dumps({"code": self.code, "message": self.message}, separators=(",", ":")).encode()


UNKNOWN_PATH = Refusal(HTTPStatus.NOT_FOUND, "Not found")
QUERY_TOO_LONG = Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "Query too long")
UNKNOWN_TRANSPORT = Refusal(HTTPStatus.BAD_REQUEST, "Transport unknown", 0)
UNKNOWN_SESSION = Refusal(HTTPStatus.BAD_REQUEST, "Session ID unknown", 1)
BAD_METHOD = Refusal(HTTPStatus.BAD_REQUEST, "Bad handshake method", 2)
BAD_REQUEST = Refusal(HTTPStatus.BAD_REQUEST, "Bad request", 3)
FOREIGN_ORIGIN = Refusal(HTTPStatus.FORBIDDEN, "Origin not allowed; see allowed_origins", 4)
UNKNOWN_VERSION = Refusal(HTTPStatus.BAD_REQUEST, "Unsupported protocol version", 5)
UNKNOWN_WEBSOCKET_VERSION = Refusal(
    HTTPStatus.UPGRADE_REQUIRED, "Unsupported WebSocket version", headers=((b"sec-websocket-version", b"13"),)
)
OVERLAP = Refusal(HTTPStatus.BAD_REQUEST, "Another request of this session is active")
UPGRADED = Refusal(HTTPStatus.BAD_REQUEST, "The session has moved to another transport")
BAD_PAYLOAD = Refusal(HTTPStatus.BAD_REQUEST, "Invalid payload")
# The rest of the body is not read, so the connection cannot go on.
BODY_TOO_BIG = Refusal(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Payload too large", headers=((b"connection", b"close"),)
)
BODY_CUT_OFF = Refusal(HTTPStatus.BAD_REQUEST, "Payload incomplete")
BODY_ENCODED = Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Compressed payloads are not supported")
STOPPING = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The server is shutting down")
TOO_MANY_SESSIONS = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Too many sessions")
