"""The checker alone, on histories written by hand: what it accepts, and what each rule finds."""

from collections.abc import Sequence

import pytest

from tests.lossless.checker import judge
from tests.lossless.history import (
    Confirmed,
    Delivered,
    Entered,
    Entry,
    Fail,
    Fault,
    Info,
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
    brief,
)
from tests.lossless.violations import show


def message(seq: int, text: str | None = None, user: str = "ann", client_id: str | None = None) -> Seen:
    """Message number `seq`, which is `m{seq}` of Ann unless told otherwise."""
    text = text or f"m{seq}"
    return Seen("room", seq, f"id of {text}", user, client_id or text, text)


def sent(op: int, seq: int, text: str | None = None, *, duplicate: bool = False) -> list[Entry]:
    """A send that is acknowledged as that number."""
    return [*tried(op, text or f"m{seq}"), Ok(op, message(seq, text), duplicate)]


def tried(
    op: int, text: str, client_id: str | None = None, user: str = "ann", connection: int = 0
) -> list[Entry]:
    """An attempt without an end."""
    return [Invoke(op, connection, user, "room", client_id or text, text)]


def whole(*messages: Seen, last_seq: int | None = None, epoch: str = "e") -> list[Entry]:
    """What both sources have at the end."""
    end = len(messages) if last_seq is None else last_seq
    return [Whole(source, "room", epoch, end, list(messages)) for source in ("history", "database")]


def log_of(count: int) -> list[Entry]:
    """So many messages of Ann, all acknowledged."""
    return [entry for seq in range(1, count + 1) for entry in sent(seq, seq)]


def end_of(count: int) -> list[Entry]:
    """They are all there."""
    return whole(*(message(seq) for seq in range(1, count + 1)))


def came(connection: int, *seqs: int) -> list[Entry]:
    """Messages told on a connection."""
    return [Delivered(connection, message(seq)) for seq in seqs]


def there(connection: int, seq: int = 0) -> list[Entry]:
    """Bob's session has a new connection and joins."""
    return [Opened("bob", connection, "bob", "websocket"), Entered(connection, "room", seq, "e")]


def again(connection: int, *, by_offset: bool) -> list[Entry]:
    """Bob's session is continued by Socket.IO's own recovery."""
    return [Opened("bob", connection, "bob", "websocket", continued=True, by_offset=by_offset)]


def recovered(
    connection: int,
    *seqs: int,
    claim: int | None = None,
    used: str = "t1",
    token: str = "t2",
    truncated: bool = False,
    reset: bool = False,
    rooms: Sequence[str] = ("room",),
) -> list[Entry]:
    """Bob's session has a new connection and recovers with these messages."""
    claims = None if claim is None else {"room": claim}
    queue = [message(seq) for seq in seqs]
    return [
        Opened("bob", connection, "bob", "websocket"),
        Recovered(
            connection, used, token, claims, "e", list(rooms), queue, ["room"] if reset else [], truncated
        ),
    ]


def member(*, is_member: bool, done: bool = True) -> list[Entry]:
    """Bob's membership changes."""
    return [Membership("bob", "room", is_member, done)]


def page(after: int, *seqs: int) -> list[Entry]:
    """Bob reads history."""
    return [Paged("bob", "room", after, [message(seq) for seq in seqs])]


def rules(*parts: Sequence[Entry]) -> set[str]:
    """The rules that a history breaks."""
    return {violation.rule for violation in judge([entry for part in parts for entry in part])}


Parts = list[Sequence[Entry]]

GOOD: dict[str, Parts] = {
    "nothing": [whole()],
    "sent and acknowledged": [log_of(3), end_of(3)],
    "timed out, and there": [log_of(1), tried(2, "m2"), [Info(2, "timed out")], end_of(2)],
    "timed out, and not there": [log_of(1), tried(2, "x"), [Info(2, "timed out")], end_of(1)],
    "never ended": [log_of(1), tried(2, "x"), end_of(1)],
    "refused, and not there": [log_of(1), tried(2, "x"), [Fail(2, "INVALID_REQUEST")], end_of(1)],
    "refused, then taken": [tried(1, "m1"), [Fail(1, "UNAVAILABLE")], sent(2, 1), end_of(1)],
    "sent again": [log_of(1), sent(2, 1, duplicate=True), end_of(1)],
    "side by side": [tried(1, "m2", connection=9), sent(2, 1), [Ok(1, message(2))], end_of(2)],
    "live": [there(1), log_of(3), came(1, 1, 2, 3), [Settled()], end_of(3)],
    "joined later": [log_of(2), there(1, 2), sent(3, 3), came(1, 3), [Settled()], end_of(3)],
    "history in between": [
        *(log_of(5), there(1), came(1, 1, 2), there(2, 4), page(2, 3, 4), came(2, 5)),
        *([Settled()], end_of(5)),
    ],
    "recovered with repeats": [log_of(4), there(1), came(1, 1, 2), recovered(2, 2, 3), came(2, 4), end_of(4)],
    "recovered by claim": [
        log_of(4),
        there(1),
        came(1, 1, 2),
        recovered(2, 3, claim=2),
        came(2, 4),
        end_of(4),
    ],
    "truncated": [
        *(log_of(6), there(1), came(1, 1), recovered(2, 2, 3, claim=1, truncated=True), came(2, 6)),
        *(page(3, 4, 5, 6), [Settled()], end_of(6)),
    ],
    "reset": [log_of(4), there(1), came(1, 1), recovered(2, reset=True), came(2, 4), end_of(4)],
    "continued": [log_of(4), there(1), came(1, 1, 2), again(2, by_offset=True), came(2, 3, 4), end_of(4)],
    "continued before the first": [log_of(2), there(1), again(2, by_offset=False), came(2, 1, 2), end_of(2)],
    "removed": [there(1), log_of(1), came(1, 1), member(is_member=False), sent(2, 2), [Settled()], end_of(2)],
    "removed on the way": [
        *(there(1), tried(1, "m1"), member(is_member=False), [Ok(1, message(1))], came(1, 1), end_of(1)),
    ],
    "a token retried": [
        *(log_of(2), there(1), [TokenMade(1, "t1")], recovered(2, 1), recovered(3, 1, 2, token="t3")),
        end_of(2),
    ],
    "replaced by a backup": [
        *(log_of(3), there(1), came(1, 1, 2, 3), [Restored(), Entered(1, "room", 1, "f")]),
        *(sent(9, 2, "new"), whole(message(1), message(2, "new"), epoch="f")),
    ],
}

BAD: dict[str, tuple[str, Parts]] = {
    "an acknowledged message is gone": ("I1 lost", [log_of(2), end_of(1)]),
    "acknowledged as somebody else's": (
        "I1 lost",
        [tried(9, "x"), [Ok(9, message(1))], log_of(1), end_of(1)],
    ),
    "told, and gone": ("I1 lost", [there(1), log_of(1), came(1, 1, 2), end_of(1)]),
    "twice": ("I2 once", [tried(1, "m1"), whole(message(1), message(2, "m1"))]),
    "acknowledged as two": (
        "I2 once",
        [log_of(2), tried(3, "m1"), [Ok(3, Seen("room", 2, "id of m2", "ann", "m1", "m1"))], end_of(2)],
    ),
    "a used id is taken for another text": (
        "I1 lost",
        [log_of(1), tried(2, "other", "m1"), [Ok(2, message(1), duplicate=True)], end_of(1)],
    ),
    "a number is missing": ("I3 dense", [log_of(1), whole(message(1), message(3), last_seq=3)]),
    "the end is missing": ("I3 dense", [log_of(1), whole(message(1), last_seq=2)]),
    "the sources differ": ("I3 agree", [[*end_of(2)[:1], *end_of(1)[1:]]]),
    "a reader was told otherwise": (
        "I3 agree",
        [there(1), log_of(1), [Delivered(1, message(1, "y"))], end_of(1)],
    ),
    "later, and yet before": ("I3 order", [sent(1, 2), sent(2, 1), end_of(2)]),
    "overtaken on its own connection": (
        "I3 order",
        [tried(1, "m2"), tried(2, "m1"), [Ok(1, message(2)), Ok(2, message(1))], end_of(2)],
    ),
    "a live gap": ("I4 gap", [there(1), log_of(3), came(1, 1, 3), end_of(3)]),
    "a gap behind a join": ("I4 gap", [there(1, 1), log_of(3), came(1, 3), end_of(3)]),
    "a gap in a recovery": ("I4 gap", [log_of(4), there(1), came(1, 1), recovered(2, 3, 4), end_of(4)]),
    "a gap behind a recovery": (
        "I4 gap",
        [log_of(4), there(1), came(1, 1), recovered(2, 2), came(2, 4), end_of(4)],
    ),
    "a gap behind a claim": (
        "I4 gap",
        [log_of(4), there(1), came(1, 1), recovered(2, claim=1), came(2, 3), end_of(4)],
    ),
    "a gap in what was continued": (
        "I4 gap",
        [log_of(4), there(1), came(1, 1), again(2, by_offset=True), came(2, 3), end_of(4)],
    ),
    "a gap in a page": ("I4 gap", [log_of(3), there(1, 3), page(0, 1, 3), end_of(3)]),
    "a room is gone": ("I4 gap", [log_of(1), there(1), came(1, 1), recovered(2, rooms=[]), end_of(1)]),
    "put out for no reason": ("I4 gap", [log_of(1), there(1), [Left(1, "room")], end_of(1)]),
    "never seen": ("I4 unseen", [log_of(2), there(1), came(1, 1), [Settled()], end_of(2)]),
    "history not read": ("I4 unseen", [log_of(3), there(1), came(1, 1), there(2, 3), [Settled()], end_of(3)]),
    "repeated": ("I5 repeated", [there(1), log_of(2), came(1, 1, 2, 2), end_of(2)]),
    "repeated behind a claim": (
        "I5 repeated",
        [log_of(2), there(1), came(1, 1, 2), recovered(2, 2, claim=2), end_of(2)],
    ),
    "repeated though confirmed": (
        "I5 repeated",
        [
            *(log_of(2), there(1), came(1, 1, 2), [Confirmed(1, {"room": 2})], recovered(2, 2), end_of(2)),
        ],
    ),
    "repeated by an offset": (
        "I5 repeated",
        [log_of(2), there(1), came(1, 1, 2), again(2, by_offset=True), came(2, 2), end_of(2)],
    ),
    "refused, and there": ("I6 phantom", [tried(1, "m1"), [Fail(1, "UNAVAILABLE")], end_of(1)]),
    "sent by nobody": ("I6 phantom", [end_of(1)]),
    "another history under the same name": (
        "I7 epoch",
        [log_of(2), there(1, 2), [Restored()], whole(message(1))],
    ),
    "the same history under another name": ("I7 epoch", [there(1), whole(epoch="f")]),
    "continued over a restore": (
        "I7 epoch",
        [there(1), [Restored()], again(2, by_offset=True), whole(epoch="f")],
    ),
    "told after the removal": (
        "I8 membership",
        [there(1), member(is_member=False), log_of(1), came(1, 1), end_of(1)],
    ),
    "recovered after the removal": (
        "I8 membership",
        [there(1), member(is_member=False), log_of(1), recovered(2, 1), end_of(1)],
    ),
    "read after the removal": (
        "I8 membership",
        [there(1), member(is_member=False), log_of(1), page(0, 1), end_of(1)],
    ),
    "sent after the removal": (
        "I8 membership",
        [
            *(member(is_member=False), tried(1, "m1", user="bob"), [Ok(1, message(1, user="bob"))]),
            whole(message(1, user="bob")),
        ],
    ),
    "told in no room": (
        "I8 membership",
        [[Opened("bob", 1, "bob", "polling")], log_of(1), came(1, 1), end_of(1)],
    ),
    "the same token again": ("token not rotated", [there(1), recovered(2, token="t1"), whole()]),
    "a retired token": (
        "token not rotated",
        [there(1), recovered(2), [Confirmed(2, {})], recovered(3, token="t3"), whole()],
    ),
    "a good token refused": (
        "token lost",
        [
            *(there(1), [TokenMade(1, "t1"), Opened("bob", 2, "bob", "polling")]),
            *([RecoveryRefused(2, "t1", "NOT_FOUND")], whole()),
        ],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    """What may happen is no violation."""
    entries = [entry for part in GOOD[name] for entry in part]
    assert not judge(entries), show(entries, judge(entries))


@pytest.mark.parametrize("name", BAD)
def test_finds(name: str) -> None:
    """What may not happen is found, under the right rule."""
    rule, parts = BAD[name]
    assert rule in rules(*parts)


def test_a_full_disk_excuses_repeats() -> None:
    """What a heartbeat confirmed may be repeated when it could not be stored; nothing else is excused."""
    parts: Parts = [log_of(2), there(1), came(1, 1, 2), [Confirmed(1, {"room": 2})], recovered(2, 2)]
    assert rules([Fault("disk full")], *parts, end_of(2)) == set()


def test_violations_are_shown() -> None:
    """A violation is shown with the entries of the history that it stands on."""
    entries = [*log_of(1), *whole()]
    (first, *_) = judge(entries)
    told = show(entries, [first])
    assert told.startswith("I1 lost: acknowledged, but not in the log")
    assert '"type":"Ok"' in told


def test_long_texts_are_told_apart() -> None:
    """Long texts stand in the history by their hash."""
    assert brief("short") == "short"
    assert brief("x" * 4000) != brief("x" * 3999 + "y")
    assert len(brief("x" * 4000)) < 60
