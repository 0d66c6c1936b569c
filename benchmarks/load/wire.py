"""Client-side framing by hand: masked WebSocket frames out, a header walk over the frames that come in."""

import base64
import os
from functools import lru_cache
from typing import Final

MASK: Final = b"\xa5\x3c\x5a\xc3"
"""One mask for every frame. Not zero: servers may skip the unmasking then, a gift of no real client."""
MESSAGE: Final = b'42/chat,["message:new",'
ACK: Final = b"43/chat,"


def upgrade_request(host: str, port: int, sid: str = "") -> bytes:
    """The JavaScript client's opening handshake (RFC 6455, 4.1); `sid` for one that began on polling."""
    key = base64.b64encode(os.urandom(16)).decode()
    session = f"&sid={sid}" if sid else ""
    return (
        f"GET /socket.io/?EIO=4&transport=websocket{session} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nUser-Agent: hubbub-benchmarks\r\n\r\n"
    ).encode()


def masked(payload: bytes) -> bytes:
    """`payload` (under 64 KiB) as one masked text frame."""
    size = len(payload)
    head, key = _masking(size)
    return head + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


@lru_cache(maxsize=4096)
def _masking(size: int) -> tuple[bytes, int]:
    """The head of a frame of that size, and its mask repeated over it."""
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + MASK, int.from_bytes((MASK * (size // 4 + 1))[:size], "big")


def frame(payload: bytes) -> bytes:
    """`payload` as one text frame from a server: not masked."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def span(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the unmasked frame at `at` begins and ends; None when it is not all there yet."""
    have = len(data)
    if have < at + 2:
        return None
    size, start = data[at + 1], at + 2
    if size == 126:
        size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    elif size == 127:
        size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
    return (start, start + size) if have >= start + size else None
