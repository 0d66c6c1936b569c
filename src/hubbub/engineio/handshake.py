"""Opening: the answer to a WebSocket upgrade request, and the OPEN packet of a new session.

The `websockets` library's own handshake keeps 2.7 KB of a connection's request for as long as the connection
lives and takes 70 us, so its parser is only given the frames.
"""

import base64
import binascii

from websockets.utils import accept_key

from hubbub.engineio import refusals
from hubbub.engineio.config import EngineConfig
from hubbub.engineio.packets import OPEN, Prepared, prepare_control
from hubbub.engineio.refusals import Refusal
from hubbub.engineio.requests import Request
from hubbub.engineio.session import Session

_WEBSOCKET_VERSION = "13"
_KEY_BYTES = 16


def check_upgrade(request: Request) -> Refusal | None:
    """Why this is no WebSocket opening handshake (RFC 6455 section 4.2.1), if so.

    The HTTP parser has seen to `Connection`, `Upgrade` and the HTTP version.
    """
    if request.method != "GET":
        return refusals.BAD_METHOD
    if request.headers.get("sec-websocket-version") != _WEBSOCKET_VERSION:
        return refusals.UNKNOWN_WEBSOCKET_VERSION
    try:
        key = base64.b64decode(request.headers.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        return refusals.BAD_REQUEST
    return None if len(key) == _KEY_BYTES else refusals.BAD_REQUEST


def accept_upgrade(request: Request) -> bytes:
    """The answer that completes the opening handshake (RFC 6455 section 4.2.2), with no extension."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(request.headers['sec-websocket-key'])}\r\n\r\n"
    ).encode()


def open_packet(session: Session, config: EngineConfig) -> Prepared:
    """The OPEN packet, spec section "Handshake"."""
    upgrades = '"websocket"' if session.transport == "polling" else ""
    interval, timeout = round(config.ping_interval * 1000), round(config.ping_timeout * 1000)
    return prepare_control(
        OPEN,
        f'{{"sid":"{session.sid}","upgrades":[{upgrades}],"pingInterval":{interval},'
        f'"pingTimeout":{timeout},"maxPayload":{config.max_payload}}}',
    )
