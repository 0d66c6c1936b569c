"""Where frames end in what a server says on a WebSocket (RFC 6455 section 5.2), behind its HTTP answer."""

from typing import Final

_HEAD_END: Final = b"\r\n\r\n"
_SWITCHED: Final = b"HTTP/1.1 101 "
# No head of a node of ours is longer.
_LONGEST_HEAD: Final = 16_384


class Boundaries:
    """Follows the bytes; looks at no more of a frame than how long it is."""

    __slots__ = ("_before", "_left", "is_open")

    def __init__(self) -> None:
        # The head of the answer or of a frame, as far as it has come; and what is left of the frame itself.
        self._before = b""
        self._left = 0
        # Whether the answer was that there is a WebSocket now.
        self.is_open = False

    @property
    def is_between(self) -> bool:
        """Whether the WebSocket is open and a frame of somebody else's may come now."""
        return self.is_open and not self._left and not self._before

    def advance(self, data: bytes) -> int:
        """Take in what comes next; return where in it the last frame ends, -1 for nowhere."""
        at, last = (0, -1) if self.is_open else self._read_answer(data)
        size = len(data)
        while self.is_open and at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
            else:
                at = self._read_head(data, at)
            if self.is_between:
                last = at
        return last

    def _read_answer(self, data: bytes) -> tuple[int, int]:
        """Look for the end of the HTTP answer; return where frames begin, twice, if it says that they do."""
        before = len(self._before)
        self._before = (self._before + data)[:_LONGEST_HEAD]
        end = self._before.find(_HEAD_END)
        if end < 0 or not self._before.startswith(_SWITCHED):
            return 0, -1
        self._before, self.is_open = b"", True
        at = end + len(_HEAD_END) - before
        return at, at

    def _read_head(self, data: bytes, at: int) -> int:
        """Read on in a frame's head; return where that ends."""
        while at < len(data) and len(self._before) < self._needed():
            self._before += data[at : at + 1]
            at += 1
        if len(self._before) == self._needed():
            short = self._before[1] & 0x7F
            self._left = short if short < 126 else int.from_bytes(self._before[2:])
            self._before = b""
        return at

    def _needed(self) -> int:
        """How long the head is, as far as that is known. Servers do not mask."""
        if len(self._before) < 2:
            return 2
        return {126: 4, 127: 10}.get(self._before[1] & 0x7F, 2)
