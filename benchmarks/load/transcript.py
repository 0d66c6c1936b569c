"""What every member must receive: the chat's messages as first seen, end to end, and who differs from it.

A member is a position in these bytes. Bytes that continue them at that position are right, and cost one
`memcmp` however many messages they hold. Whatever continues them past their end is parsed once, checked
(`seq` one higher, the sender's own number one higher) and added. A member whose messages are not the next
ones in `seq` order leaves the fast way and is followed number by number: its `Deviation` knows what was lost,
repeated or out of order.
"""

import re
import sys
from array import array
from bisect import bisect_right
from typing import Protocol

_NOWHERE = sys.maxsize
"""The position of a member that has deviated: no bytes continue the transcript there."""

_SEQ = re.compile(rb'"seq":(\d+)')
_MARK = re.compile(rb'"clientMessageId":"(\d+)-(\d+)"')


def _numbers(frame: bytes) -> tuple[int, int, int]:
    """A message's `seq`, its sender and the sender's own number for it."""
    seq, mark = _SEQ.search(frame), _MARK.search(frame)
    if seq is None or mark is None:
        raise ValueError(f"a message:new without seq or clientMessageId: {frame[:300]!r}")
    return int(seq[1]), int(mark[1]), int(mark[2])


class Deviation:
    """Follows by number a member whose messages do not come one after the other."""

    __slots__ = ("expected", "missing", "repeated", "swapped")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.missing: set[int] = set()
        self.repeated = 0
        self.swapped = 0

    def take(self, seq: int) -> None:
        """Count one message by its number."""
        if seq >= self.expected:
            self.missing.update(range(self.expected, seq))
            self.expected = seq + 1
        elif seq in self.missing:
            self.missing.remove(seq)
            self.swapped += 1
        else:
            self.repeated += 1


class Reading(Protocol):
    """How far one member is in the transcript. `tail` is the beginning of a frame that has not ended yet."""

    position: int
    tail: bytes
    deviation: Deviation | None


class Transcript:
    """One chat's messages from `seq` 1 on."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends = array("Q", [0])
        self.problems: list[str] = []
        self._sent: dict[int, int] = {}

    def is_worded_otherwise(self, first: bytes) -> bool:
        """Whether a frame has the first message in other bytes than these."""
        if not self.count or self.data.startswith(first):
            return False
        return _numbers(first) == _numbers(bytes(self.data[: self.ends[1]]))

    @property
    def count(self) -> int:
        """Messages known so far, which is also the newest `seq`."""
        return len(self.ends) - 1

    def rewind(self, reading: Reading) -> bytes:
        """Take back the frame that `reading` is in the middle of: its bytes so far, to be walked again."""
        begun, reading.tail = reading.tail, b""
        if reading.deviation is not None:
            return begun
        start = self.ends[bisect_right(self.ends, reading.position) - 1]
        if start < reading.position:
            begun = bytes(self.data[start : reading.position])
            reading.position = start
        return begun

    def keep(self, reading: Reading, rest: bytes) -> None:
        """Remember the beginning of a frame, as a position where it is a message's that is known already."""
        if rest and reading.deviation is None and self.data.startswith(rest, reading.position):
            reading.position += len(rest)
        else:
            reading.tail = rest

    def received(self, reading: Reading) -> int:
        """How many different messages this member has got whole."""
        if reading.deviation is not None:
            return reading.deviation.expected - 1 - len(reading.deviation.missing)
        return bisect_right(self.ends, reading.position) - 1

    def lost(self, reading: Reading, sent: int) -> int:
        """How many of `sent` messages this member never got; a number left out by the server is lost too."""
        gaps = len(reading.deviation.missing) if reading.deviation is not None else 0
        return max(sent - self.received(reading), gaps)

    def skip(self, reading: Reading, data: memoryview) -> int:
        """Pass over the known messages that `data` begins with; how many bytes they are."""
        if reading.deviation is not None:
            return 0
        begin = reading.position
        low = bisect_right(self.ends, begin) - 1
        high = bisect_right(self.ends, begin + len(data)) - 1
        middle = high
        while low < high:
            if self.data.startswith(data[: self.ends[middle] - begin], begin):
                low = middle
            else:
                high = middle - 1
            middle = (low + high + 1) // 2
        reading.position = self.ends[low]
        return reading.position - begin

    def accept(self, reading: Reading, frame: bytes) -> None:
        """Count one whole message frame that a member received; `reading` stands between two frames."""
        if reading.deviation is None:
            if self.data.startswith(frame, reading.position):
                reading.position += len(frame)
                return
            seq, sender, own = _numbers(frame)
            expected = bisect_right(self.ends, reading.position)
            if seq == expected and self._agrees(seq, sender, own, frame):
                reading.position = self.ends[seq]
                return
            reading.deviation = Deviation(expected)
            reading.position = _NOWHERE
        reading.deviation.take(_numbers(frame)[0])

    def _agrees(self, seq: int, sender: int, own: int, frame: bytes) -> bool:
        """Add the next message, or see that this one is the known one in other bytes."""
        if seq <= self.count:
            return _numbers(bytes(self.data[self.ends[seq - 1] : self.ends[seq]])) == (seq, sender, own)
        if own != self._sent.get(sender, 0) + 1:
            self.problems.append(f"message {own} of sender {sender} came after {self._sent.get(sender, 0)}")
        self._sent[sender] = own
        self.data += frame
        self.ends.append(len(self.data))
        return True
