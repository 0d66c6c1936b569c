"""The checker: a history is judged without any I/O. The rules are named after the invariants they hold.

- I1 durable: what was acknowledged, or seen by anybody, is in the log at the end, at its number.
- I2 once: one message for a send, however often it was tried.
- I3 order: numbers are dense, all agree which message has which, and a send that began after another's
  acknowledgement has a higher one.
- I4 no silent gap, I5 monotonic: what each session and connection saw (sessions.py).
- I6 no phantom: what was refused is never seen; what nobody sent neither.
- I7 epoch: the name of a history changes when stored messages were replaced, and only then.
- I8 membership: who was removed sees nothing sent afterwards, and sends nothing (sessions.py).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tests.lossless.history import (
    Entered,
    Entry,
    Fail,
    Info,
    Invoke,
    Ok,
    Restored,
    Seen,
    Whole,
)
from tests.lossless.sessions import judge_sessions
from tests.lossless.violations import Violation, seen_in

Key = tuple[str, str, str]


def judge(entries: Sequence[Entry], rights: float = 0.0) -> list[Violation]:
    """All violations in a history, each with the entries that show it. `rights`: for how many seconds after
    its end a right may count, where that has to be told to other nodes.
    """
    since = max((index for index, entry in enumerate(entries) if isinstance(entry, Restored)), default=-1) + 1
    sends = Sends(entries, since)
    return [
        *judge_epochs(entries),
        *judge_final(entries),
        *judge_acks(sends),
        *judge_log(sends),
        *judge_sightings(entries, since, sends),
        *judge_order(sends),
        *judge_sessions(entries, rights),
    ]


class Attempt:
    """One try of a send, and how it ended."""

    def __init__(self, index: int, invoke: Invoke) -> None:
        self.index = index
        self.invoke = invoke
        self.key = (invoke.user, invoke.chat, invoke.client_id)
        self.end: Ok | Fail | Info | None = None
        self.end_index = index


class Sends:
    """The attempts of a history, and the log at its end. What ended before `since` may have been lost."""

    def __init__(self, entries: Sequence[Entry], since: int) -> None:
        self.attempts: dict[int, Attempt] = {}
        self.by_text: dict[Key, list[Attempt]] = defaultdict(list)
        self.log: dict[tuple[str, int], tuple[int, Seen]] = {}
        self.since = since
        self.is_read = False
        for index, entry in enumerate(entries):
            if isinstance(entry, Invoke):
                attempt = self.attempts[entry.op] = Attempt(index, entry)
                self.by_text[(entry.user, entry.chat, entry.text)].append(attempt)
            elif isinstance(entry, Ok | Fail | Info):
                attempt = self.attempts[entry.op]
                attempt.end, attempt.end_index = entry, index
            elif isinstance(entry, Whole):
                self.is_read = True
                self.log |= {(entry.chat, message.seq): (index, message) for message in entry.messages}


def judge_final(entries: Sequence[Entry]) -> Iterator[Violation]:
    """I3: every source ends with the same dense numbers."""
    first: dict[str, tuple[int, Whole]] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, Whole):
            continue
        numbers = [message.seq for message in entry.messages]
        if numbers != list(range(1, entry.last_seq + 1)):
            told = (
                f"chat {entry.chat} by {entry.source}: 1 to {entry.last_seq} are not all there once, in order"
            )
            yield Violation("I3 dense", f"{told}: {_odd(numbers)}", [index])
        other_index, other = first.setdefault(entry.chat, (index, entry))
        if other.messages != entry.messages or other.last_seq != entry.last_seq:
            told = f"chat {entry.chat}: {other.source} and {entry.source} do not hold the same"
            yield Violation("I3 agree", told, [other_index, index])


def _odd(numbers: list[int]) -> str:
    """Where a list of numbers is not dense from 1."""
    expected = 1
    for number in numbers:
        if number != expected:
            return f"{number} stands where {expected} should"
        expected += 1
    return f"it ends with {expected - 1}"


def judge_acks(sends: Sends) -> Iterator[Violation]:
    """I1, I2: what was acknowledged is there, as it was acknowledged, and always as the same message."""
    first: dict[Key, tuple[int, Seen]] = {}
    for attempt in sends.attempts.values():
        if not isinstance(attempt.end, Ok) or attempt.end_index < sends.since:
            continue
        shown = [attempt.index, attempt.end_index]
        told = attempt.end.message
        if told.text != attempt.invoke.text or told.client_id not in (None, attempt.invoke.client_id):
            yield Violation("I1 lost", f"acknowledged as another message, {told}", shown)
        index, one = first.setdefault(attempt.key, (attempt.end_index, told))
        if (one.seq, one.id) != (told.seq, told.id):
            yield Violation("I2 once", f"acknowledged as {one.seq} and as {told.seq}", [index, *shown])
        if sends.is_read and sends.log.get((told.chat, told.seq), (0, None))[1] != told:
            yield Violation("I1 lost", f"acknowledged, but not in the log: {told}", shown)


def judge_log(sends: Sends) -> Iterator[Violation]:
    """I2, I6: what is in the log was sent, was not refused, and is there once."""
    places: dict[tuple[str, str, str], int] = {}
    for (chat, seq), (index, message) in sends.log.items():
        twin = places.setdefault((chat, message.user, message.text), seq)
        if twin != seq:
            yield Violation("I2 once", f"chat {chat}: {seq} is {twin} once more: {message}", [index])
        attempts = [
            attempt
            for attempt in sends.by_text.get((message.user, chat, message.text), [])
            if message.client_id in (None, attempt.invoke.client_id)
        ]
        if not attempts:
            yield Violation("I6 phantom", f"nobody sent {message}", [index])
        elif all(isinstance(attempt.end, Fail) for attempt in attempts):
            shown = [place for attempt in attempts for place in (attempt.index, attempt.end_index)]
            yield Violation("I6 phantom", f"refused, and yet there: {message}", [*shown, index])


def judge_sightings(entries: Sequence[Entry], since: int, sends: Sends) -> Iterator[Violation]:
    """I1, I3: whatever anybody was told is what the log says at the end."""
    if not sends.is_read:
        return
    for index in range(since, len(entries)):
        for message in seen_in(entries[index]):
            place, stored = sends.log.get((message.chat, message.seq), (index, None))
            if stored is None:
                yield Violation("I1 lost", f"told, but not in the log: {message}", [index])
            elif stored != message:
                yield Violation("I3 agree", f"told {message}, the log has {stored}", [index, place])


def judge_order(sends: Sends) -> Iterator[Violation]:
    """I3: a send that began after the acknowledgement of another has a higher number; so have, of what one
    connection sent without waiting, the later ones.
    """
    numbers = {(m.user, chat, m.client_id or ""): seq for (chat, seq), (_, m) in sends.log.items()}
    tries = Counter(attempt.key for attempt in sends.attempts.values())
    recent = [one for one in sends.attempts.values() if one.index >= sends.since]
    moments = sorted(
        [(one.index, False, one) for one in recent]
        + [(one.end_index, True, one) for one in recent if isinstance(one.end, Ok)],
        key=lambda moment: moment[:2],
    )
    newest: dict[str, tuple[int, int]] = {}
    behind: dict[tuple[int, str], tuple[int, int]] = {}
    begun: set[Key] = set()
    for index, is_ack, attempt in moments:
        chat = attempt.invoke.chat
        seq = numbers.get(attempt.key)
        if seq is None:
            continue
        if is_ack:
            newest[chat] = max(newest.get(chat, (0, 0)), (seq, index))
            continue
        floor, acked = newest.get(chat, (0, 0))
        if attempt.key not in begun and seq <= floor:
            yield Violation("I3 order", f"{seq} was sent after {floor} was acknowledged", [acked, index])
        begun.add(attempt.key)
        line = (attempt.invoke.connection, chat)
        if tries[attempt.key] == 1 and isinstance(attempt.end, Ok):
            before, place = behind.get(line, (0, index))
            if seq < before:
                yield Violation("I3 order", f"{seq} was sent behind {before}", [place, index])
            behind[line] = (seq, index)


def judge_epochs(entries: Sequence[Entry]) -> Iterator[Violation]:
    """I7: a history keeps its name until messages are replaced, and gets another one then."""
    name: str | None = None
    place = 0
    replaced = False
    for index, entry in enumerate(entries):
        if isinstance(entry, Restored):
            replaced = True
        elif isinstance(entry, Entered | Whole):
            if name is not None and (entry.epoch == name) is replaced:
                told = "was kept over a restore" if replaced else "changed, though nothing was replaced"
                yield Violation("I7 epoch", f"the name of the history {told}", [place, index])
            name, place, replaced = entry.epoch, index, False
