"""What Socket.IO's own recovery may leave out, where one store writes and where several do."""

from collections.abc import Mapping
from random import Random

import msgspec
import pytest

from hubbub.chat.backlog import Backlog, Offset
from hubbub.store.base import Log
from hubbub.store.records import Message


class SomeLog:
    """A log of two chats, a and b, whose messages were committed in turns."""

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._messages = [_message("ab"[n % 2], n // 2 + 1, n + 1) for n in range(8)]

    def orders_all_chats(self) -> bool:
        return self._ordered

    async def read(
        self, chat_id: str, *, after: int = 0, before: int | None = None, limit: int, newest: bool = False
    ) -> list[Message]:
        assert before is not None
        return [m for m in self._messages if m.chat_id == chat_id and after < m.seq < before][:limit]


def _message(chat_id: str, seq: int, position: int) -> Message:
    return Message(
        id=f"{position}",
        chat_id=chat_id,
        seq=seq,
        position=position,
        user_id="ann",
        username="ann",
        content="hello",
        type="text",
        client_message_id=None,
        created_at=0,
    )


async def replayed(ordered: bool, after: Mapping[str, int], offset: int | None) -> list[int] | None:
    """The positions that a client is sent."""
    log: Log = SomeLog(ordered=ordered)  # type: ignore[assignment]  # as much of it as is asked for
    last = None if offset is None else Offset(offset)
    owed = await Backlog(log, 1_000_000).replay(after, {"a": 4, "b": 4}, last, None)
    return None if owed is None else [one.position for one in owed.messages]


async def test_one_writer() -> None:
    """Commit order is the order of telling: whoever has a message has all before it, in every chat."""
    assert await replayed(True, {"a": 0, "b": 0}, 5) == [6, 7, 8]
    assert await replayed(True, {"a": 0, "b": 0}, None) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("after", "offset", "expected"),
    [
        pytest.param({"a": 0}, 5, [7], id="one chat"),
        pytest.param({"a": 0, "b": 4}, 5, [7], id="nothing of another chat"),
        pytest.param({"a": 0, "b": 2}, 5, None, id="some of another chat, behind it"),
        pytest.param({"a": 0, "b": 0}, 5, None, id="some of another chat, before it as well"),
        pytest.param({"a": 3, "b": 0}, 5, [2, 4, 6, 7, 8], id="it is the newest that is known"),
        pytest.param({"a": 4, "b": 3}, 5, None, id="it is older than what is known"),
        pytest.param({"a": 4, "b": 4}, 5, [], id="there is nothing else"),
        pytest.param({"a": 0, "b": 0}, None, [1, 2, 3, 4, 5, 6, 7, 8], id="nothing received"),
    ],
)
async def test_several_writers(after: dict[str, int], offset: int | None, expected: list[int] | None) -> None:
    """What another chat has may be told before the offset or behind it, whatever its position: then the
    client begins anew, rather than get a message twice or never.
    """
    assert await replayed(False, after, offset) == expected


class LongLog:
    """A log of many chats with a long history, in an order of its own; `read_in_all` counts what was read."""

    def __init__(self, chats: int, length: int) -> None:
        turns = [chat for chat in range(chats) for _ in range(length)]
        Random(chats).shuffle(turns)
        self.messages: dict[str, list[Message]] = {str(chat): [] for chat in range(chats)}
        for position, chat in enumerate(turns, start=1):
            mine = self.messages[str(chat)]
            mine.append(_message(str(chat), len(mine) + 1, position))
        self.read_in_all = 0

    async def read(
        self, chat_id: str, *, after: int = 0, before: int | None = None, limit: int, newest: bool = False
    ) -> list[Message]:
        found = self.messages[chat_id][after : (before or 0) - 1][:limit]
        self.read_in_all += len(found)
        return found


@pytest.mark.parametrize(("chats", "length"), [(1, 20), (1, 900), (3, 100), (3, 400), (200, 2), (200, 300)])
async def test_a_queue_is_the_oldest_of_all_chats(chats: int, length: int) -> None:
    """And no more is read than a multiple of what it may hold, however many chats were missed as a whole."""
    long = LongLog(chats, length)
    log: Log = long  # type: ignore[assignment]  # as much of it as is asked for
    after = {chat_id: number % 3 for number, chat_id in enumerate(long.messages)}
    upto = dict.fromkeys(after, length)
    owed = sorted(
        (one for mine in long.messages.values() for one in mine if one.seq > after[one.chat_id]),
        key=lambda one: one.position,
    )
    missed = await Backlog(log, 100_000_000).queue(after, upto)
    assert [one.position for one in missed.messages] == [one.position for one in owed[:500]]
    assert missed.truncated == (len(owed) > 500)
    assert long.read_in_all <= 1000 + 8 * chats


async def test_a_queue_fits_into_a_quarter_of_an_outbox() -> None:
    """What does not fit is to be read by history."""
    log: Log = LongLog(2, 200)  # type: ignore[assignment]  # as much of it as is asked for
    missed = await Backlog(log, 40_000).queue({"0": 0, "1": 0}, {"0": 200, "1": 200})
    sizes = [len(msgspec.json.encode(one.message)) for one in missed.messages]
    assert missed.truncated
    assert 10_000 - 2 * max(sizes) < sum(sizes) <= 10_000
