# A stretch of the way in docs/life-of-a-message.md.
"""The frames of one WebSocket as they come in, without I/O (RFC 6455, section 5).

Nearly every frame that a client sends is one whole, short, masked text message, for which the general parser
takes ten times as long as is needed. So that kind is read by hand. Whatever is not just that, well-formed or
not, is for the parser of the `websockets` library, which is made when it is first needed and gets one frame
after the other: between two of them it can be left out.
"""

import logging
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.frames import apply_mask as unmask  # type: ignore[attr-defined]  # in C wherever there is a wheel
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

# The parser tells of each connection; only its own failures are worth a line.
_parser_log = logging.getLogger(f"{__name__}.parser")
_parser_log.setLevel(logging.WARNING)

# Fragments of one message. Fragments may be empty, so the size limit alone does not end them.
MAX_FRAGMENTS: Final = 4096

# FIN and the opcode for text, no extension bits; the mask bit of the second byte; the lengths in that byte
# that stand for one of two or of eight bytes behind it.
_WHOLE_TEXT: Final = 0x81
_MASKED: Final = 0x80
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127


class Incoming(Enum):
    """What can come in."""

    TEXT = "text"  # a message, not decoded yet
    BINARY = "binary"  # a message
    IDLE = "idle"  # a ping, whose pong is to be written, or a pong
    CLOSE = "close"
    BROKEN = "broken"  # the client does not keep to the protocol
    TOO_BIG = "too big"
    FLOOD = "flood"  # a message in too many fragments


class FrameReader:
    """Takes the bytes of a client that speaks WebSocket; a message may have `limit` bytes."""

    __slots__ = ("_begun", "_fragments", "_limit", "_owed", "_parser")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parser: ServerProtocol | None = None
        self._fragments: list[Frame] | None = None
        # The beginning of a frame, too short to tell its length; how many bytes of one the parser waits for.
        self._begun = b""
        self._owed = 0

    def read(self, data: bytes) -> Iterator[tuple[Incoming, bytes]]:
        """Take bytes; yields what is whole with them. After BROKEN and the like nothing more counts.

        Write `answers` after whatever is no message, before reading on.
        """
        if self._begun:
            data, self._begun = self._begun + data, b""
        at, end = 0, len(data)
        if self._owed:
            at = min(self._owed, end)
            self._owed -= at
            yield from self._parse(data[:at])
        while at < end:
            size = _measure(data, at)
            if size is None:
                self._begun = data[at:]
                return
            text = None if self._fragments or size > end - at else _read_text(data, at, size)
            if text is not None and len(text) <= self._limit:
                yield Incoming.TEXT, text
            else:
                self._owed = max(0, at + size - end)
                yield from self._parse(data[at : at + size])
            at += size

    def answers(self) -> Sequence[bytes]:
        """What has to be written now: pongs and closes. `SEND_EOF` in it means that the connection ends."""
        return self._parser.data_to_send() if self._parser is not None and self._parser.writes else ()

    def close(self, code: int, reason: str) -> None:
        """Have a close frame written, unless one was."""
        parser = self._use_parser()
        if parser.state is OPEN:
            parser.send_close(code, reason)

    def discard(self) -> None:
        """Be done with it: no more is read."""
        if self._parser is not None:
            # A generator that refers to itself; without this it would wait for the garbage collector.
            self._parser.parser.close()

    def _use_parser(self) -> ServerProtocol:
        if self._parser is None:
            self._parser = ServerProtocol(state=OPEN, max_size=self._limit, logger=_parser_log)
        return self._parser

    def _parse(self, data: bytes) -> Iterator[tuple[Incoming, bytes]]:
        """Have the general parser take one frame, or a part of it."""
        parser = self._use_parser()
        if parser.eof_sent:
            return
        parser.receive_data(data)
        for event in parser.events_received():
            if isinstance(event, Frame):
                yield from self._take(event)
        if parser.parser_exc is not None:
            too_big = isinstance(parser.parser_exc, PayloadTooBig)
            yield Incoming.TOO_BIG if too_big else Incoming.BROKEN, b""
        elif parser.state is OPEN and not (self._owed or self._fragments or parser.writes):
            # It is between two frames, and takes more memory than all else that an idle connection has.
            self.discard()
            self._parser = None

    def _take(self, frame: Frame) -> Iterator[tuple[Incoming, bytes]]:
        opcode = frame.opcode
        if opcode is Opcode.PING or opcode is Opcode.PONG:
            yield Incoming.IDLE, b""
        elif opcode is Opcode.CLOSE:
            yield Incoming.CLOSE, b""
        else:
            frames = self._fragments or []
            frames.append(frame)
            self._fragments = None if frame.fin or len(frames) > MAX_FRAGMENTS else frames
            if frame.fin:
                kind = Incoming.TEXT if frames[0].opcode is Opcode.TEXT else Incoming.BINARY
                yield kind, b"".join([fragment.data for fragment in frames])
            elif self._fragments is None:
                yield Incoming.FLOOD, b""


def _measure(data: bytes, at: int) -> int | None:
    """How long the frame that begins at `at` is, in bytes; None when too little of it is there to tell."""
    have = len(data) - at
    if have < 2:
        return None
    second = data[at + 1]
    length, head = second & 0x7F, 2
    if length >= _TWO_BYTES:
        head = 4 if length == _TWO_BYTES else 10
        if have < head:
            return None
        length = int.from_bytes(data[at + 2 : at + head], "big")
    return head + (4 if second & _MASKED else 0) + length


def _read_text(data: bytes, at: int, size: int) -> bytes | None:
    """The text of the frame of `size` bytes at `at`, all of it there; None when it is not an ordinary one."""
    second = data[at + 1]
    length = second & 0x7F
    if data[at] != _WHOLE_TEXT or not second & _MASKED or length == _EIGHT_BYTES:
        return None
    mask = at + (2 if length < _TWO_BYTES else 4)
    return unmask(data[mask + 4 : at + size], data[mask : mask + 4])
