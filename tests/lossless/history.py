"""The history of a run: what was asked, answered and told, in the order in which the clients saw it.

Append-only. A *session* is a client that wants everything from its first join on; a *connection* one of the
sockets it has one after the other. A *send* is told by its user, chat and client message id; each attempt has
an `op` of its own, which ends in `Ok`, `Fail` (refused) or `Info` (nobody knows), or not at all.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

_LONGEST: Final = 48

E = TypeVar("E", bound="Entry")


def brief(text: str) -> str:
    """A text's stand-in in the history: itself when short, else told apart by its hash."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:24]}~{len(text)}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A message as somebody saw it."""

    chat: str
    seq: int
    id: str
    user: str
    client_id: str | None
    text: str


class Entry(msgspec.Struct, tag=True, kw_only=True):
    """Something that happened; `at` in seconds of a monotonic clock."""

    at: float = 0.0


class Fault(Entry):
    """The nemesis did something; `name` is the kind, counted at the end."""

    name: str
    detail: str = ""


class Restored(Entry):
    """Stored messages were replaced by those of an earlier time, on purpose."""


# Sends.


class Invoke(Entry):
    """An attempt to send leaves the client."""

    op: int
    connection: int
    user: str
    chat: str
    client_id: str
    text: str


class Ok(Entry):
    """An attempt was acknowledged, as this message."""

    op: int
    message: Seen
    duplicate: bool = False


class Fail(Entry):
    """An attempt was refused: it has not happened and never will."""

    op: int
    code: str


class Info(Entry):
    """An attempt ended without an answer: it has happened or has not."""

    op: int
    why: str


# A session's connections.


class Opened(Entry):
    """A session has a new connection. `continued`: by Socket.IO's own recovery, and whether by an offset."""

    session: str
    connection: int
    user: str
    transport: str
    continued: bool = False
    by_offset: bool = False


class Closed(Entry):
    """A connection is over, as its client saw it."""

    connection: int
    why: str


class Entered(Entry):
    """A join was answered: messages behind `seq` come live."""

    connection: int
    chat: str
    seq: int
    epoch: str


class Left(Entry):
    """The connection is no longer in the room, and knows it."""

    connection: int
    chat: str


class Delivered(Entry):
    """A message came live, or replayed by Socket.IO's own recovery."""

    connection: int
    message: Seen


class Recovered(Entry):
    """`connection:recover` was answered. `last_seq` is what the client claimed to have, if it did."""

    connection: int
    used: str
    token: str
    last_seq: dict[str, int] | None
    epoch: str | None
    rooms: list[str]
    queue: list[Seen]
    reset: list[str]
    truncated: bool


class RecoveryRefused(Entry):
    """`connection:recover` was refused."""

    connection: int
    used: str
    code: str


class TokenMade(Entry):
    """The connection was given its first recovery token."""

    connection: int
    token: str


class Confirmed(Entry):
    """The server has had an answer to a heartbeat that it sent behind these messages, for certain."""

    connection: int
    seqs: dict[str, int]


class Paged(Entry):
    """A session read a page of history: everything behind `after` up to the page's end."""

    session: str
    chat: str
    after: int
    messages: list[Seen]


class Membership(Entry):
    """Somebody's membership is being changed (`done` false: asked for; true: answered)."""

    user: str
    chat: str
    member: bool
    done: bool


# The end.


class Settled(Entry):
    """Faults are over and everybody had the time to get everything."""


class Whole(Entry):
    """All that a chat holds at the end, by one source."""

    source: str
    chat: str
    epoch: str
    last_seq: int
    messages: list[Seen]


class History:
    """The entries of a run so far; `counts` has their kinds."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.counts: Counter[str] = Counter()
        self._ops = 0
        self._connections = 0
        self._began = time.monotonic()

    def add(self, entry: Entry) -> None:
        """Append an entry, at this moment."""
        entry.at = round(time.monotonic() - self._began, 4)
        self.entries.append(entry)
        self.counts[type(entry).__name__] += 1

    def next_op(self) -> int:
        """A number for an attempt."""
        self._ops += 1
        return self._ops

    def next_connection(self) -> int:
        """A number for a connection."""
        self._connections += 1
        return self._connections

    def of(self, kind: type[E]) -> Iterator[E]:
        """All entries of a kind."""
        return (entry for entry in self.entries if isinstance(entry, kind))

    def save(self, path: Path) -> None:
        """Write all entries as JSON lines."""
        with path.open("wb") as file:
            for entry in self.entries:
                file.write(msgspec.json.encode(entry) + b"\n")
