"""How two nodes greet, before one passes a request on to the other. No I/O.

    caller -> MAGIC, nonce              (who dials)
    answerer -> nonce, proof            (proves that it has the key: it is the node that was meant)
    caller -> length, peer, proof       (proves that it has the key; says whose request follows)

Proofs are over both nonces, so that none is good a second time. `peer` is the address that the request came
from; what follows is HTTP, as if that peer had sent it.
"""

import hmac
import secrets
from hashlib import sha256

MAGIC = b"hubbub1\n"
NONCE = 16
PROOF = 32
HELLO = len(MAGIC) + NONCE
REPLY = NONCE + PROOF


class GreetingError(Exception):
    """The other side is not what it should be."""


def _proof(key: bytes, role: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, role + b"".join(parts), sha256)


class Caller:
    """The side that dials."""

    __slots__ = ("_key", "_nonce", "_peer")

    def __init__(self, key: bytes, peer: str) -> None:
        self._key = key
        self._peer = peer.encode()
        self._nonce = secrets.token_bytes(NONCE)

    def hello(self) -> bytes:
        """What is said first."""
        return MAGIC + self._nonce

    def answer(self, reply: bytes) -> bytes:
        """What is said to the reply, `REPLY` bytes. Raises `GreetingError`."""
        nonce, proof = reply[:NONCE], reply[NONCE:]
        if not hmac.compare_digest(proof, _proof(self._key, b"answer", self._nonce, nonce)):
            raise GreetingError("another process than the node answers")
        length = len(self._peer).to_bytes(1, "big")
        return length + self._peer + _proof(self._key, b"call", nonce, self._nonce, length, self._peer)


class Answerer:
    """The side that is dialled. Give it all that comes until it knows the peer."""

    __slots__ = ("_buffer", "_hello", "_key", "_nonce", "peer")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._buffer = b""
        self._hello = b""
        self._nonce = secrets.token_bytes(NONCE)
        self.peer: str | None = None

    def feed(self, data: bytes) -> bytes:
        """Take bytes; returns what is to be said. Raises `GreetingError`."""
        self._buffer += data
        said = b""
        if not self._hello and len(self._buffer) >= HELLO:
            if not self._buffer.startswith(MAGIC):
                raise GreetingError("no greeting of a node")
            self._hello, self._buffer = self._buffer[len(MAGIC) : HELLO], self._buffer[HELLO:]
            said = self._nonce + _proof(self._key, b"answer", self._hello, self._nonce)
        if self._hello and self._buffer and self.peer is None:
            self._take_call(1 + self._buffer[0])
        return said

    def rest(self) -> bytes:
        """What came after the greeting, once."""
        rest, self._buffer = self._buffer, b""
        return rest

    def _take_call(self, end: int) -> None:
        if len(self._buffer) < end + PROOF:
            return
        said, proof = self._buffer[:end], self._buffer[end : end + PROOF]
        if not hmac.compare_digest(proof, _proof(self._key, b"call", self._nonce, self._hello, said)):
            raise GreetingError("a caller without the key")
        self.peer = said[1:].decode("latin-1")
        self._buffer = self._buffer[end + PROOF :]
