"""Whatever is done in whatever order, the log is what a list would be, with its tail folded or not."""

import asyncio
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubbub.store import records
from hubbub.store.audit import audit
from hubbub.store.base import ChatArchived, Conflict, NotMember
from hubbub.store.sqlite import SqliteStore
from tests.store.samples import NOW, message, room, unread

USERS = ("ann", "bob", "cid")
CHATS = ("a", "b")
SENDS = st.lists(
    st.tuples(
        st.sampled_from(CHATS),
        st.sampled_from(USERS),
        st.none() | st.integers(0, 9).map(str),
        st.sampled_from(["one", "two"]),
    ),
    min_size=1,
    max_size=12,
)
WHERE = st.tuples(st.sampled_from(CHATS), st.sampled_from(USERS))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), SENDS),
        st.tuples(st.sampled_from(["join", "leave", "rejoin", "read"]), WHERE),
        st.tuples(st.sampled_from(["archive", "revive"]), st.sampled_from(CHATS)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=25,
)


class Model:
    """Two chats as lists, and the store that is to be like them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs: dict[str, list[records.Message]] = {chat: [] for chat in CHATS}
        self.members = {(chat, user): 0 for chat in CHATS for user in USERS}  # with what there was before
        self.archived: set[str] = set()
        self.read: set[tuple[str, str, int]] = set()

    async def run(self, steps: list[tuple[str, object]]) -> None:
        """Take all steps."""
        self.store = await SqliteStore.open(self.path)
        for name, what in steps:
            await getattr(self, f"do_{name}")(what)
            await self.compare()
        await self.store.close()

    async def do_send(self, sends: list[tuple[str, str, str | None, str]]) -> None:
        """Append a batch; each answer is what the list says."""
        futures = [
            self.store.append(message(chat, user, text, client_message_id=key))
            for chat, user, key, text in sends
        ]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        for send, answer in zip(sends, answers, strict=True):
            expected = self.answer(*send)
            if isinstance(expected, records.Message):
                assert isinstance(answer, records.Appended)
                assert (answer.message, answer.duplicate) == (expected, True)
            elif expected is not None:
                assert isinstance(answer, expected)
            else:
                assert isinstance(answer, records.Appended)
                self.logs[send[0]].append(answer.message)
                assert answer.message.seq == len(self.logs[send[0]])

    def answer(
        self, chat: str, user: str, key: str | None, text: str
    ) -> records.Message | type[Exception] | None:
        """The message that was first, why there is none, or None for a new one."""
        if (chat, user) not in self.members:
            return NotMember
        for one in self.logs[chat]:
            if key is not None and (one.user_id, one.client_message_id) == (user, key):
                return one if one.content == text else Conflict
        return ChatArchived if chat in self.archived else None

    async def do_join(self, where: tuple[str, str]) -> None:
        """Become a member, from here on."""
        assert await self.store.add_member(*where, "member", NOW) == (where not in self.members)
        self.members.setdefault(where, len(self.logs[where[0]]))

    async def do_leave(self, where: tuple[str, str]) -> None:
        """End a membership."""
        assert await self.store.remove_member(*where) == (where in self.members)
        self.members.pop(where, None)

    async def do_rejoin(self, where: tuple[str, str]) -> None:
        """End a membership and begin another."""
        await self.do_leave(where)
        await self.do_join(where)

    async def do_archive(self, chat: str) -> None:
        """Archive a chat."""
        await self.store.update_chat(chat, name=chat, description=None, archived_at=NOW)
        self.archived.add(chat)

    async def do_revive(self, chat: str) -> None:
        """Open a chat again."""
        await self.store.update_chat(chat, name=chat, description=None, archived_at=None)
        self.archived.discard(chat)

    async def do_read(self, where: tuple[str, str]) -> None:
        """Confirm every second message."""
        chat, user = where
        some = self.logs[chat][::2]
        if where in self.members:
            await self.store.confirm(chat, user, [one.id for one in some], "read", NOW)
            self.read |= {(chat, user, one.seq) for one in some if one.user_id != user}

    async def do_reopen(self, _nothing: None) -> None:
        """Close the store and open it again."""
        await self.store.close()
        self.store = await SqliteStore.open(self.path)

    async def compare(self) -> None:
        """Everything that can be read is as the lists are."""
        for chat, log in self.logs.items():
            assert await self.store.read(chat, limit=1000) == log
            assert await self.store.read(chat, after=2, before=9, limit=4, newest=True) == log[2:8][-4:]
        assert await self.store.last_seqs(CHATS) == {chat: len(log) for chat, log in self.logs.items()}
        everything = [one for log in self.logs.values() for one in log]
        assert await self.store.last_position() == max((one.position for one in everything), default=0)
        totals = await self.store.totals()
        assert (totals.messages, totals.read) == (len(everything), len(self.read))
        for (chat, user), joined in self.members.items():
            others = [one.seq for one in self.logs[chat][joined:] if one.user_id != user]
            new = [seq for seq in others if (chat, user, seq) not in self.read]
            assert await unread(self.store, chat, user) == len(new)
        assert audit(self.path, lambda *_: None).findings == []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two chats of three."""
    path = tmp_path_factory.mktemp("template") / "hubbub.db"

    async def make() -> None:
        store = await SqliteStore.open(path)
        for chat in CHATS:
            await room(store, chat, *USERS)
        await store.close()

    asyncio.run(make())
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, longest=st.integers(1, 30))
def test_the_log_is_a_list(
    template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]], longest: int
) -> None:
    """After each step everything that can be read, and the audit, says what two lists say."""
    path = tmp_path_factory.mktemp("model") / "hubbub.db"
    shutil.copy(template, path)
    with patch("hubbub.store.tail.LONGEST", longest):
        asyncio.run(Model(path).run(steps))
