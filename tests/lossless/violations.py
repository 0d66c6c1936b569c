"""What the checker finds, and how it is shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from tests.lossless.history import Delivered, Entry, Ok, Paged, Recovered, Seen


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold; `entries` are the places of the history that show it."""

    rule: str
    text: str
    entries: list[int] = field(default_factory=list)


def seen_in(entry: Entry) -> Iterable[Seen]:
    """The messages that somebody was told by an entry."""
    if isinstance(entry, Delivered | Ok):
        return (entry.message,)
    if isinstance(entry, Recovered):
        return entry.queue
    if isinstance(entry, Paged):
        return entry.messages
    return ()


def show(entries: Sequence[Entry], violations: Sequence[Violation], most: int = 10) -> str:
    """The violations, each with the offending part of the history."""
    lines: list[str] = []
    for violation in violations[:most]:
        lines.append(f"{violation.rule}: {violation.text}")
        lines += (f"    {index}: {_line(entries[index])}" for index in violation.entries)
    if len(violations) > most:
        lines.append(f"... and {len(violations) - most} more")
    return "\n".join(lines)


def _line(entry: Entry) -> str:
    text = msgspec.json.encode(entry).decode()
    return text if len(text) <= 400 else f"{text[:400]}…"
