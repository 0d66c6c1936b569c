"""One chat under audit: its log read once, against what the chat, its members and its receipts say of it."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

from hubbub.store import ranges

MESSAGES: Final = """
    SELECT seq, position, user_id, created_at, delivered_count, read_count
    FROM messages WHERE chat_id = ? ORDER BY seq
"""
MEMBERS: Final = """
    SELECT user_id, joined_seq, sent_count, covered_count FROM members WHERE chat_id = ? ORDER BY user_id
"""
RECEIPTS: Final = "SELECT user_id, delivered, read FROM receipts WHERE chat_id = ? ORDER BY user_id"

_REPORT_EVERY: Final = 10_000


class Tally:
    """How many things are wrong in the same way, and which message is the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0

    def add(self, seq: int, count: int = 1) -> None:
        """Count some."""
        self.first = self.first or seq
        self.count += count


class Kind:
    """The receipts of one kind in a chat: each user's ranges, and how many cover the message looked at."""

    def __init__(self) -> None:
        self.by_user: dict[str, ranges.Ranges] = {}
        # Where ranges begin (1) and where they have ended (-1); the last to come stand first.
        self.changes: list[tuple[int, int]] = []
        self.covering = 0
        self.wrong = Tally()

    def add(self, user_id: str, confirmed: ranges.Ranges) -> None:
        """Take a user's receipts."""
        self.by_user[user_id] = confirmed
        self.changes += [(first, 1) for first in confirmed[::2]]
        self.changes += [(last + 1, -1) for last in confirmed[1::2]]

    def complete(self) -> None:
        """All users' receipts are there: begin with the first message."""
        self.changes.sort(reverse=True)

    def has(self, user_id: str, seq: int) -> bool:
        """Tell whether a user's ranges cover a message."""
        confirmed = self.by_user.get(user_id)
        return confirmed is not None and ranges.contains(confirmed, seq)

    def compare(self, seq: int, author: str, told: int) -> None:
        """Look at the next message, which says that so many have confirmed it, never its author."""
        while self.changes and self.changes[-1][0] <= seq:
            self.covering += self.changes.pop()[1]
        if told != self.covering - self.has(author, seq):
            self.wrong.add(seq)


class ChatAudit:
    """A chat as its row says it is. First `read` it (or `begin` and `take`), then ask for the `findings`."""

    def __init__(
        self, id_: str, last_seq: int, last_activity: int, created_at: int, member_count: int
    ) -> None:
        self.id = id_
        self.last_seq = last_seq
        self.last_activity = last_activity
        self.member_count = member_count

        # What the log says.
        self.count = 0
        self._newest_seq = 0
        self._newest_time = created_at
        self._position = 0
        self._missing = Tally()
        self._disordered = Tally()

        # What members and receipts say. A member's own messages: since joining, and of those the ones within
        # the ranges of what the member has read.
        self._members: dict[str, tuple[int, int, int]] = {}
        self._sent: dict[str, int] = {}
        self._covered: dict[str, int] = {}
        self._kinds = {"delivered": Kind(), "read": Kind()}
        self._found: list[str] = []

    def read(self, raw: sqlite3.Connection) -> Iterator[int]:
        """Read everything about the chat; tells from time to time how many messages were read."""
        self.begin(raw.execute(MEMBERS, (self.id,)), raw.execute(RECEIPTS, (self.id,)))
        for row in raw.execute(MESSAGES, (self.id,)):
            self.take(*row)
            if self.count % _REPORT_EVERY == 0:
                yield self.count
        yield self.count

    def begin(self, members: Iterable[Iterable[Any]], receipts: Iterable[Iterable[Any]]) -> None:
        """Take rows of `MEMBERS` and `RECEIPTS`; those of `MESSAGES` follow, in the order of `seq`."""
        for user_id, joined_seq, sent, covered in members:
            self._members[user_id] = (joined_seq, sent, covered)
        for user_id, delivered, read in receipts:
            self._take_receipts(user_id, delivered, read)
        for kind in self._kinds.values():
            kind.complete()

    def _take_receipts(self, user_id: str, delivered: str, read: str) -> None:
        confirmed = {}
        for name, text in (("delivered", delivered), ("read", read)):
            problem, parsed = _parse(text, self.last_seq)
            if problem:
                self._found.append(f"{name} receipts of user {user_id} {problem}")
                return
            confirmed[name] = parsed
            self._kinds[name].add(user_id, parsed)
        if not ranges.covers(confirmed["delivered"], confirmed["read"]):
            self._found.append(f"user {user_id} has read messages that were not delivered")

    def take(self, seq: int, position: int, author: str, created_at: int, delivered: int, read: int) -> None:
        """Take the next message."""
        if seq != self._newest_seq + 1:
            self._missing.add(self._newest_seq + 1, seq - self._newest_seq - 1)
        if position <= self._position:
            self._disordered.add(seq)
        self.count += 1
        self._newest_seq, self._position = seq, position
        self._newest_time = max(self._newest_time, created_at)
        self._kinds["delivered"].compare(seq, author, delivered)
        self._kinds["read"].compare(seq, author, read)
        member = self._members.get(author)
        if member is not None and seq > member[0]:
            self._sent[author] = self._sent.get(author, 0) + 1
            self._covered[author] = self._covered.get(author, 0) + self._kinds["read"].has(author, seq)

    def findings(self) -> Iterator[str]:
        """What is wrong, one line each."""
        found = [*self._of_log(), *self._of_chat(), *self._of_members(), *self._found, *self._of_receipts()]
        return (f"chat {self.id}: {one}" for one in found)

    def _of_log(self) -> Iterator[str]:
        if self._missing.count:
            yield f"{_some(self._missing.count, 'number')} missing, the first is {self._missing.first}"
        if self._disordered.count:
            yield (
                f"{_some(self._disordered.count, 'message')} out of order among all chats', "
                f"the first is {self._disordered.first}"
            )

    def _of_chat(self) -> Iterator[str]:
        if self.last_seq != self._newest_seq:
            yield f"last_seq is {self.last_seq}, but the newest message has {self._newest_seq}"
        if self.last_activity != self._newest_time:
            yield f"last_activity is {self.last_activity}, but should be {self._newest_time}"
        if self.member_count != len(self._members):
            yield f"member_count is {self.member_count}, but there are {len(self._members)} members"

    def _of_members(self) -> Iterator[str]:
        for user_id, (joined_seq, sent, covered) in self._members.items():
            if not 0 <= joined_seq <= self.last_seq:
                yield f"user {user_id} joined behind message {joined_seq}, the newest is {self.last_seq}"
            if sent != self._sent.get(user_id, 0):
                yield f"user {user_id} has sent_count {sent}, but sent {self._sent.get(user_id, 0)}"
            if covered != self._covered.get(user_id, 0):
                yield f"user {user_id} has covered_count {covered}, not {self._covered.get(user_id, 0)}"

    def _of_receipts(self) -> Iterator[str]:
        for name, kind in self._kinds.items():
            if kind.wrong.count:
                yield (
                    f"{_some(kind.wrong.count, 'message')} counted with a wrong number of {name} receipts, "
                    f"the first is {kind.wrong.first}"
                )


def _some(count: int, noun: str) -> str:
    return f"1 {noun} is" if count == 1 else f"{count} {noun}s are"


def _parse(text: str, last_seq: int) -> tuple[str, ranges.Ranges]:
    """Read stored ranges, and say what is wrong with them, if anything."""
    try:
        parsed = ranges.parse(text)
    except ValueError:
        return f"are malformed: {text[:40]!r}", []
    firsts, lasts = parsed[::2], parsed[1::2]
    apart = all(first > last + 1 for last, first in zip(lasts, firsts[1:], strict=False))
    if not apart or any(first > last for first, last in zip(firsts, lasts, strict=True)):
        return f"are no ranges in order: {text[:40]!r}", []
    if parsed and not (parsed[0] >= 1 and parsed[-1] <= last_seq):
        return f"are for messages {parsed[0]} to {parsed[-1]}, the newest is {last_seq}", []
    return "", parsed
