"""What confirmations of a batch make of the receipts that are stored: decided in memory, for every database.

Own messages are never confirmed, and would cut the ranges of somebody who takes part in a conversation into
pieces without number. So a short gap that holds nothing but own messages is covered: its numbers join the
set, and `covered_count` remembers how many, since `sent_count` counts them too.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from hubbub.store import ranges
from hubbub.store.base import MessageMissing, NotMember, StoreError
from hubbub.store.records import Confirmation, Receipt

LONGEST_GAP: Final = 64
"""Most own messages in a row that are covered; a confirmation must not read a whole chat."""

Pair: TypeAlias = tuple[str, str]
Gap: TypeAlias = tuple[str, str, int, int]
"""Chat, member, first and last `seq` of messages between two ranges."""


class Confirmable(msgspec.Struct, array_like=True):
    """A message as far as confirmations are concerned; `confirmed_at` is set when this batch confirms it."""

    position: int
    id: str
    chat_id: str
    seq: int
    user_id: str
    delivered: int
    read: int
    confirmed_at: int | None = None


class Confirmed(msgspec.Struct):
    """What a member has confirmed in a chat; `new` is what this batch adds, `covered` counts own messages."""

    joined_seq: int
    delivered: ranges.Ranges
    read: ranges.Ranges
    new: list[int]
    covered: int = 0

    @classmethod
    def stored(cls, joined_seq: int, delivered: str | None, read: str | None) -> "Confirmed":
        """As it is stored; null where there are no receipts."""
        return cls(joined_seq, ranges.parse(delivered or ""), ranges.parse(read or ""), [])

    def cover(self, own: range) -> None:
        """Let own messages join the sets that have confirmed ones right behind them."""
        if ranges.contains(self.delivered, own.stop):
            ranges.insert_all(self.delivered, own)
        if ranges.contains(self.read, own.stop):
            read = ranges.insert_all(self.read, own)
            self.covered += sum(seq > self.joined_seq for seq in read)


class Confirming:
    """The confirmations of one batch, over the members and messages that they are about.

    First `record` each, then `cover` those of the `gaps` that hold own messages only; what is to be written
    stands in `changed`, `grown`, `delivered` and `read`.
    """

    def __init__(self, members: Mapping[Pair, Confirmed], messages: Mapping[str, Confirmable]) -> None:
        self._members = members
        self._messages = messages
        self.delivered = 0
        self.read = 0

    def record(self, confirmation: Confirmation) -> list[Receipt] | StoreError:
        """Record one confirmation; return the receipts that are new."""
        confirmed = self._members.get((confirmation.chat_id, confirmation.user_id))
        if confirmed is None:
            return NotMember(f"user {confirmation.user_id} is no member of chat {confirmation.chat_id}")
        found = [self._messages.get(id_) for id_ in confirmation.message_ids]
        messages = [m for m in found if m is not None and m.chat_id == confirmation.chat_id]
        if len(messages) < len(found):
            return MessageMissing(f"not all messages are in chat {confirmation.chat_id}")
        return [
            _receipt(message)
            for message in messages
            if message.user_id != confirmation.user_id and self._mark(confirmed, message, confirmation)
        ]

    def _mark(self, confirmed: Confirmed, message: Confirmable, confirmation: Confirmation) -> bool:
        """Put a message into the member's sets; True when that is what the confirmation is about."""
        delivered = ranges.insert(confirmed.delivered, message.seq)
        read = confirmation.kind == "read" and ranges.insert(confirmed.read, message.seq)
        if not (delivered or read):
            return False
        confirmed.new.append(message.seq)
        message.confirmed_at = confirmation.now
        message.delivered += delivered
        message.read += read
        self.delivered += delivered
        self.read += read
        return True

    @property
    def changed(self) -> list[Confirmable]:
        """The messages whose counts have changed."""
        return [message for message in self._messages.values() if message.confirmed_at is not None]

    @property
    def grown(self) -> dict[Pair, Confirmed]:
        """The members who have confirmed something."""
        return {pair: confirmed for pair, confirmed in self._members.items() if confirmed.new}

    def gaps(self) -> list[Gap]:
        """The short gaps beside what was confirmed."""
        return list(
            {
                (*pair, *gap)
                for pair, member in self.grown.items()
                for confirmed in (member.delivered, member.read)
                for seq in member.new
                for gap in ranges.gaps(confirmed, seq, LONGEST_GAP)
            }
        )

    def cover(self, gaps: Iterable[Gap]) -> None:
        """Let these gaps, which hold own messages only, join the sets that they cut."""
        for chat_id, user_id, first, last in gaps:
            self._members[chat_id, user_id].cover(range(first, last + 1))


def _receipt(message: Confirmable) -> Receipt:
    return Receipt(
        message_id=message.id,
        seq=message.seq,
        sender_id=message.user_id,
        delivered_count=message.delivered,
        read_count=message.read,
    )
