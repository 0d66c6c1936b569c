"""The order in which this node told messages lately.

A room that is told a message notes its number, counted over all rooms; the newest number belongs to the
room's newest message, and so on backwards. All sockets of the node get messages in this order, so that what
one was told since a number is found from the rooms that it is in.
"""

import secrets
from collections import deque
from collections.abc import Iterator
from typing import Final, TypeAlias

Numbers: TypeAlias = deque[int]
"""Those of the messages that one room was told lately, oldest first."""

_KEPT: Final = 100_000
"""Messages whose numbers are kept: a node that tells 2000 a second knows of 50 s, longer than a heartbeat may
take. That is 5 MB at most.
"""

_NAME_BYTES: Final = 6


class Order:
    """Numbers the messages told. `teller` names the node as long as it lives."""

    def __init__(self) -> None:
        self.teller = secrets.token_urlsafe(_NAME_BYTES)
        self.count = 0
        # Where each number is kept, oldest first.
        self._kept: deque[Numbers] = deque()

    def note(self, numbers: Numbers | None) -> Numbers:
        """A room is told its next message. Its numbers, made with the first one, are returned."""
        self.count += 1
        if numbers is None:
            numbers = deque()
        numbers.append(self.count)
        self._kept.append(numbers)
        if len(self._kept) > _KEPT:
            self._kept.popleft().popleft()
        return numbers

    def knows(self, since: int) -> bool:
        """Whether all numbers behind this one are kept."""
        return since >= self.count - len(self._kept)

    def behind(self, since: int, numbers: Numbers | None, newest: int) -> Iterator[tuple[int, int]]:
        """Each of a room's numbers behind `since` and the `seq` that it belongs to, newest first. `newest` is
        the room's newest `seq`.
        """
        for seq, number in zip(range(newest, 0, -1), reversed(numbers or ()), strict=False):
            if number <= since:
                return
            yield number, seq
