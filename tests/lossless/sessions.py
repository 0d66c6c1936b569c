"""What each session and each connection saw: the checker's rules I4, I5 and I8, and those of recovery tokens.

A connection's place in a chat is the number that must come next. It is set by a join, a recovery or a
continued connection, and moves with each message. A session is the sum of its connections and of the history
that it read; at the end it must have everything from its first join on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.lossless.history import (
    Confirmed,
    Delivered,
    Entered,
    Entry,
    Fail,
    Fault,
    Invoke,
    Left,
    Membership,
    Ok,
    Opened,
    Paged,
    Recovered,
    RecoveryRefused,
    Restored,
    Seen,
    Settled,
    TokenMade,
    Whole,
)
from tests.lossless.violations import Violation, seen_in

DISK_FAULTS = frozenset({"disk full"})


@dataclass(slots=True)
class Place:
    """Where a connection is in a chat: the next number, or the bounds of it."""

    least: int
    most: float
    """Infinite behind a `truncated`: that something is missing was told, and how much was not."""

    def judge(self, seq: int) -> str | None:
        """What is wrong with this number, if anything; then it is the one before the next."""
        problem = "I4 gap" if seq > self.most else "I5 repeated" if seq < self.least else None
        self.least, self.most = seq + 1, seq + 1
        return problem


@dataclass(slots=True)
class Track:
    """What a session has of a chat."""

    first: int
    """The first message it is owed."""
    high: int
    seen: set[int] = field(default_factory=set)


class Line:
    """One connection."""

    def __init__(self, session: "Session", index: int) -> None:
        self.session = session
        self.index = index
        self.places: dict[str, Place] = {}
        # The token that was used for it, until its use has been confirmed.
        self.used: str | None = None


class Session:
    """One client with all its connections."""

    def __init__(self, name: str, user: str) -> None:
        self.name = name
        self.user = user
        self.last: Line | None = None
        self.tracks: dict[str, Track] = {}
        self.confirmed: dict[str, int] = {}
        self.token: str | None = None
        self.retired: dict[str, int] = {}


def judge_sessions(entries: Sequence[Entry], rights: float = 0.0) -> Iterator[Violation]:
    """All violations in what sessions saw; `rights` as in the checker."""
    judgement = Judgement(entries, rights)
    for index, entry in enumerate(entries):
        yield from judgement.judge(index, entry)


class Judgement:
    """Goes through a history once."""

    def __init__(self, entries: Sequence[Entry], rights: float) -> None:
        self._at = [entry.at for entry in entries]
        self._rights = rights
        self._ends = {entry.chat: entry.last_seq for entry in entries if isinstance(entry, Whole)}
        self._exact = not any(isinstance(one, Fault) and one.name in DISK_FAULTS for one in entries)
        self._sessions: dict[str, Session] = {}
        self._lines: dict[int, Line] = {}
        self._invoked: dict[tuple[str, str, str | None], int] = {}
        self._attempts: dict[int, tuple[int, Invoke]] = {}
        # Users who are surely no members, and since which entry; chats that somebody was ever removed from.
        self._removed: dict[tuple[str, str], int] = {}
        self._ever_removed: set[tuple[str, str]] = set()
        self._restored = -1

    def judge(self, index: int, entry: Entry) -> Iterator[Violation]:
        """What this entry violates, given those before it."""
        for session, message in self._told(entry):
            yield from self._check_member(index, session, message)
        if isinstance(entry, Opened):
            yield from self._open(index, entry)
        elif isinstance(entry, Entered):
            yield from self._enter(index, entry)
        elif isinstance(entry, Delivered):
            yield from self._deliver(index, self._lines[entry.connection], entry.message)
        elif isinstance(entry, Recovered):
            yield from self._recover(index, entry)
        elif isinstance(entry, RecoveryRefused):
            yield from self._refuse(index, entry)
        elif isinstance(entry, Paged):
            yield from self._page(index, entry)
        elif isinstance(entry, Settled):
            yield from self._settle(index)
        else:
            yield from self._note(index, entry)

    def _note(self, index: int, entry: Entry) -> Iterator[Violation]:
        """Entries that change what is expected of later ones."""
        if isinstance(entry, Invoke):
            self._attempts[entry.op] = (index, entry)
            self._invoked.setdefault((entry.user, entry.chat, entry.client_id), index)
        elif isinstance(entry, Ok):
            yield from self._acknowledge(index, entry)
        elif isinstance(entry, Left):
            line = self._lines[entry.connection]
            line.places.pop(entry.chat, None)
            yield from self._lose_room(index, line.session, entry.chat)
        elif isinstance(entry, TokenMade):
            self._lines[entry.connection].session.token = entry.token
        elif isinstance(entry, Confirmed):
            self._confirm(index, entry)
        elif isinstance(entry, Membership):
            self._change_member(index, entry)
        elif isinstance(entry, Restored):
            self._restored = index
            for session in self._sessions.values():
                session.tracks.clear()
                session.confirmed.clear()

    # I8.

    def _told(self, entry: Entry) -> Iterator[tuple[Session, Seen]]:
        if isinstance(entry, Ok | Fail):
            return
        session = None
        if isinstance(entry, Delivered | Recovered):
            session = self._lines[entry.connection].session
        elif isinstance(entry, Paged):
            session = self._sessions.get(entry.session)
        if session is not None:
            yield from ((session, message) for message in seen_in(entry))

    def _check_member(self, index: int, session: Session, message: Seen) -> Iterator[Violation]:
        since = self._removed.get((session.user, message.chat))
        sent = self._invoked.get((message.user, message.chat, message.client_id))
        if since is None or sent is None or sent < since:
            return
        if self._at[sent] >= self._at[since] + self._rights:
            told = f"{session.name} was removed and told of {message}, which was sent afterwards"
            yield Violation("I8 membership", told, [since, sent, index])

    def _acknowledge(self, index: int, entry: Ok) -> Iterator[Violation]:
        place, invoke = self._attempts[entry.op]
        since = self._removed.get((invoke.user, invoke.chat))
        if since is not None and place > since and not entry.duplicate:
            yield Violation("I8 membership", "a message of who was removed was taken", [since, place, index])

    def _change_member(self, index: int, entry: Membership) -> None:
        key = (entry.user, entry.chat)
        if not entry.member:
            self._ever_removed.add(key)
        if not entry.member and entry.done:
            self._removed[key] = index
        elif entry.member:
            self._removed.pop(key, None)

    # Where connections begin.

    def _open(self, index: int, entry: Opened) -> Iterator[Violation]:
        session = self._sessions.setdefault(entry.session, Session(entry.session, entry.user))
        before, line = session.last, Line(session, index)
        self._lines[entry.connection] = session.last = line
        if not entry.continued:
            return
        if before is None:
            yield Violation("I4 gap", "continued, but there was nothing before", [index])
            return
        if self._restored > before.index:
            yield Violation("I7 epoch", "continued over a restore", [before.index, self._restored, index])
        for chat, place in before.places.items():
            line.places[chat] = Place(place.least if entry.by_offset else 1, place.most)

    def _enter(self, index: int, entry: Entered) -> Iterator[Violation]:
        line = self._lines[entry.connection]
        track = line.session.tracks.setdefault(entry.chat, Track(entry.seq + 1, entry.seq))
        if entry.seq < track.high:
            told = f"{line.session.name} has {track.high}, and the chat ends with {entry.seq}"
            yield Violation("I1 lost", told, [index])
        track.high = max(track.high, entry.seq)
        line.places.setdefault(entry.chat, Place(entry.seq + 1, entry.seq + 1))

    # What is told.

    def _deliver(self, index: int, line: Line, message: Seen) -> Iterator[Violation]:
        place = line.places.get(message.chat)
        if place is None:
            yield Violation("I8 membership", f"not in the room, but told {message}", [line.index, index])
            return
        expected = f"{place.least}" if place.least == place.most else f"{place.least} to {place.most}"
        problem = place.judge(message.seq)
        if problem is not None:
            told = f"{line.session.name} got {message.seq} of {message.chat} where {expected} should come"
            yield Violation(problem, told, [line.index, index])
        self._see(line.session, message)

    def _see(self, session: Session, message: Seen) -> None:
        track = session.tracks.get(message.chat)
        if track is not None:
            track.seen.add(message.seq)
            track.high = max(track.high, message.seq)

    def _recover(self, index: int, entry: Recovered) -> Iterator[Violation]:
        line = self._lines[entry.connection]
        session = line.session
        yield from self._check_token(index, session, entry)
        session.token, line.used = entry.token, entry.used
        yield from self._check_rooms(index, session, entry)
        claims = entry.last_seq or {}
        for chat in entry.rooms:
            if chat in entry.reset:
                session.tracks.pop(chat, None)
                line.places[chat] = Place(1, float("inf"))
            elif chat in claims:
                line.places[chat] = Place(claims[chat] + 1, claims[chat] + 1)
            else:
                track = session.tracks.get(chat)
                confirmed = session.confirmed.get(chat, 0) if self._exact else 0
                line.places[chat] = Place(confirmed + 1, track.high + 1 if track else float("inf"))
        for message in entry.queue:
            yield from self._deliver(index, line, message)
        for chat in entry.rooms:
            if entry.truncated:
                line.places[chat].most = float("inf")

    def _check_rooms(self, index: int, session: Session, entry: Recovered) -> Iterator[Violation]:
        for chat in set(session.tracks) - set(entry.rooms) - set(entry.reset):
            yield from self._lose_room(index, session, chat)

    def _lose_room(self, index: int, session: Session, chat: str) -> Iterator[Violation]:
        """Who was removed is owed nothing any more; nobody else loses a room."""
        session.tracks.pop(chat, None)
        if (session.user, chat) not in self._ever_removed:
            yield Violation("I4 gap", f"{session.name} is no longer in {chat}, for no reason", [index])

    def _page(self, index: int, entry: Paged) -> Iterator[Violation]:
        numbers = [message.seq for message in entry.messages]
        if numbers != list(range(entry.after + 1, entry.after + 1 + len(numbers))):
            yield Violation("I4 gap", f"a page of history behind {entry.after} is {numbers}", [index])
        session = self._sessions.get(entry.session)
        if session is not None:
            for message in entry.messages:
                self._see(session, message)

    def _settle(self, index: int) -> Iterator[Violation]:
        """I4: in the end a session has all messages since it first joined."""
        for session in self._sessions.values():
            for chat, track in session.tracks.items():
                missing = set(range(track.first, self._ends.get(chat, 0) + 1)) - track.seen
                if missing and (session.user, chat) not in self._removed:
                    told = f"{session.name} never saw {len(missing)} of {chat}, {min(missing)} the first"
                    yield Violation("I4 unseen", told, [index])

    # Tokens.

    def _confirm(self, index: int, entry: Confirmed) -> None:
        line = self._lines[entry.connection]
        if line.used is not None:
            line.session.retired.setdefault(line.used, index)
            line.used = None
        for chat, seq in entry.seqs.items():
            line.session.confirmed[chat] = max(line.session.confirmed.get(chat, 0), seq)

    def _check_token(self, index: int, session: Session, entry: Recovered) -> Iterator[Violation]:
        if entry.token == entry.used:
            yield Violation("token not rotated", f"{session.name} got the one it used", [index])
        elif self._exact and (retired := session.retired.get(entry.used)) is not None:
            yield Violation("token not rotated", f"{session.name} used a retired one", [retired, index])

    def _refuse(self, index: int, entry: RecoveryRefused) -> Iterator[Violation]:
        session = self._lines[entry.connection].session
        good = (
            session.token is not None and entry.used == session.token and not session.retired.get(entry.used)
        )
        if good and entry.code == "NOT_FOUND" and self._restored < 0:
            yield Violation("token lost", f"{session.name} cannot use its token", [index])
        if entry.code == "NOT_FOUND":
            session.tracks.clear()
