"""The store on an embedded SQLite database.

    writes ─ GroupCommit ─ one thread, the one writing connection          (commit.py, transactions.py)
    reads ── Readers ───── a few threads, connections that can only read   (readers.py, gathering.py)

This module says which statement answers which method of the port; the statements are in `queries`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar, cast

from sqlalchemy import Connection

from hubbub.store import records
from hubbub.store.base import Cursor, ReceiptKind, StoreError, StoreUnavailable
from hubbub.store.commit import GroupCommit
from hubbub.store.database import Database
from hubbub.store.gathering import Gathering
from hubbub.store.queries import arrivals, chats, history, log, sessions, users
from hubbub.store.queries.append import append
from hubbub.store.queries.confirm import confirm
from hubbub.store.readers import Readers
from hubbub.store.tail import fold
from hubbub.store.transactions import WritingConnection, call

T = TypeVar("T")

READ_DEADLINE: Final = 1.0
WRITE_DEADLINE: Final = 6.0
"""Seconds that closing waits for reads, then for writes; the whole server has ten to stop."""


class SqliteStore:
    """A `Store` in one file, for one server."""

    def __init__(self, database: Database, epoch: str) -> None:
        self._database = database
        self._epoch = epoch
        self._readers = Readers(database.connect_reader)
        self._users = Gathering(self._readers, arrivals.find_users)
        self._contacts = Gathering(self._readers, arrivals.contacts)
        self._writing = WritingConnection(database.connect_writer)
        self._commit = GroupCommit(self._writing)

    @classmethod
    async def open(cls, path: Path | str) -> "SqliteStore":
        """Open a database, made or migrated as needed.

        Raises `StoreUnusable`, with one readable line, when another server has the file open, when it cannot
        be written, is damaged, is not a hubbub database, or is one of a newer hubbub.
        """
        database, epoch = await asyncio.to_thread(_open, Path(path))
        return cls(database, epoch)

    async def close(self) -> None:
        """Finish what was begun, as long as it takes no more than seconds, and let go of the file."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._readers.close), READ_DEADLINE)
        folded = self._commit.submit(fold, None)
        await self._commit.close(WRITE_DEADLINE)
        with suppress(StoreError):
            await folded
        self._database.release()

    def _read(self, query: Callable[[Connection], T]) -> Awaitable[T]:
        return self._readers.run(query)

    def _write(self, change: Callable[[Connection], T]) -> Awaitable[T]:
        return cast("Awaitable[T]", self._commit.submit(call, change))

    async def epoch(self) -> str:
        """Return the name of this history."""
        return self._epoch

    def on_new_epoch(self, tell: Callable[[str], None]) -> None:
        """Nobody replaces the file while this store has it: `tell` is never called."""

    async def check(self) -> None:
        """Do a small read and a small durable write, and see that no other has failed a moment ago."""
        await self._read(history.read_epoch)
        await self._write(history.touch)
        if self._writing.is_shaken:
            raise StoreUnavailable("the database could not be written a moment ago")

    def appending(self) -> bool:
        """Whether messages are being committed now."""
        return self._commit.is_doing(append)

    def commits(self) -> records.Commits:
        """Return figures of the group commit."""
        return self._commit.figures()

    async def create_user(self, user: records.User, password_hash: str | None) -> None:
        """Store a new user."""
        await self._write(lambda c: users.create_user(c, user, password_hash))

    async def ensure_user(self, user: records.User) -> records.User:
        """Return the stored user of that id, creating or changing it as needed."""
        return await self._commit.submit(arrivals.ensure_users, user)

    async def user(self, user_id: str) -> records.User | None:
        """Return a user."""
        return await self._users.ask(user_id)

    async def credentials(self, login: str) -> records.Credentials | None:
        """Return the user with a password of that username or email."""
        return await self._read(lambda c: users.find_credentials(c, login))

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """Replace a user's password hash."""
        await self._write(lambda c: users.set_password(c, user_id, password_hash))

    async def set_active(self, user_id: str, active: bool) -> bool:
        """Switch a user on or off."""
        return await self._write(lambda c: users.set_active(c, user_id, active))

    async def set_last_seen(self, user_id: str, now: int) -> None:
        """Remember when a user was last connected."""
        await self._commit.submit(arrivals.set_last_seen, arrivals.Seen(user_id, now))

    async def list_users(self, after: str, limit: int) -> list[records.User]:
        """Return users by username and id."""
        return await self._read(lambda c: users.list_users(c, after, limit))

    async def count_users(self) -> int:
        """Return the number of users."""
        return await self._read(users.count_users)

    async def save_refresh_token(self, token: records.RefreshToken) -> None:
        """Remember a refresh token."""
        await self._write(lambda c: users.save_refresh_token(c, token))

    async def take_refresh_token(self, token_hash: bytes, now: int) -> str | None:
        """Use up a refresh token."""
        return await self._write(lambda c: users.take_refresh_token(c, token_hash, now))

    async def drop_refresh_tokens(self, user_id: str) -> None:
        """Forget all refresh tokens of a user."""
        await self._write(lambda c: users.drop_refresh_tokens(c, user_id))

    async def create_chat(self, chat: records.Chat, members: Sequence[records.Member]) -> None:
        """Store a new chat with its first members."""
        await self._write(lambda c: chats.create_chat(c, chat, members))

    async def chat(self, chat_id: str) -> records.Chat | None:
        """Return a chat."""
        return await self._read(lambda c: chats.find_chat(c, chat_id))

    async def chat_for(self, chat_id: str, user_id: str) -> records.ChatView | None:
        """Return a chat as a user sees it."""
        return await self._read(lambda c: chats.view_chat(c, chat_id, user_id))

    async def chats_of(self, user_id: str, limit: int, before: Cursor | None) -> list[records.ChatRow]:
        """Return a member's chats by last activity, newest first."""
        return await self._read(lambda c: chats.list_chats(c, user_id, limit, before))

    async def list_chats(self, limit: int, before: Cursor | None) -> list[records.Chat]:
        """Return all chats by last activity, newest first."""
        return await self._read(lambda c: chats.list_all_chats(c, limit, before))

    async def update_chat(
        self, chat_id: str, *, name: str, description: str | None, archived_at: int | None
    ) -> None:
        """Replace a chat's name, description and archived state."""
        await self._write(lambda c: chats.update_chat(c, chat_id, name, description, archived_at))

    async def add_member(self, chat_id: str, user_id: str, role: str, now: int) -> bool:
        """Make a user a member, or give a member another role."""
        return await self._write(lambda c: chats.add_member(c, chat_id, user_id, role, now))

    async def remove_member(self, chat_id: str, user_id: str) -> bool:
        """End a membership."""
        return await self._write(lambda c: chats.remove_member(c, chat_id, user_id))

    async def members(self, chat_id: str, after: str, limit: int) -> list[records.Member]:
        """Return a chat's members by user id."""
        return await self._read(lambda c: chats.list_members(c, chat_id, after, limit))

    async def member_ids(self, chat_id: str) -> list[str]:
        """Return the ids of all members of a chat."""
        return await self._read(lambda c: chats.member_ids(c, chat_id))

    async def contacts(self, user_id: str) -> set[str]:
        """Return the ids of all users who share a chat with that user."""
        return await self._contacts.ask(user_id)

    async def chat_ids_of(self, user_id: str) -> list[str]:
        """Return the ids of all chats that a user is a member of."""
        return await self._read(lambda c: chats.chat_ids(c, user_id))

    def orders_all_chats(self) -> bool:
        """There is one writer, so `position` is the commit order."""
        return True

    def append(self, message: records.NewMessage) -> "asyncio.Future[records.Appended]":
        """Append a message; the future is done after the commit, in the order of `seq`."""
        return self._commit.submit(append, message)

    async def read(
        self, chat_id: str, *, after: int = 0, before: int | None = None, limit: int, newest: bool = False
    ) -> list[records.Message]:
        """Return messages with `after < seq < before`, oldest first."""
        return await self._read(lambda c: log.read(c, chat_id, (after, before), limit, newest))

    async def message(self, message_id: str) -> records.Message | None:
        """Return a message."""
        return await self._read(lambda c: log.find_message(c, message_id))

    async def last_seqs(self, chat_ids: Sequence[str]) -> dict[str, int]:
        """Return the newest `seq` of each of these chats that exists."""
        return await self._read(lambda c: log.last_seqs(c, chat_ids))

    async def last_position(self) -> int:
        """Return the newest `position`."""
        return await self._read(log.last_position)

    def confirm(
        self, chat_id: str, user_id: str, message_ids: Sequence[str], kind: ReceiptKind, now: int
    ) -> "asyncio.Future[list[records.Receipt]]":
        """Record receipts of a member; the future gives those that are new."""
        confirmation = records.Confirmation(
            chat_id=chat_id, user_id=user_id, message_ids=message_ids, kind=kind, now=now
        )
        return self._commit.submit(confirm, confirmation)

    async def delivery_status(self, message: records.Message) -> records.DeliveryStatus:
        """Return who has received and read a message."""
        return await self._read(lambda c: log.delivery_status(c, message))

    async def totals(self) -> records.MessageTotals:
        """Return the totals over all chats."""
        return await self._read(log.totals)

    def save_session(
        self, session: records.RecoverySession, *, replaces: str | None = None, renews: bool = False
    ) -> "asyncio.Future[None]":
        """Store or replace a session by its id, unless another has its token now; done after the commit."""
        return self._commit.submit(sessions.save_sessions, sessions.Change(session, replaces, renews))

    async def session(self, session_id: str, now: int) -> records.RecoverySession | None:
        """Return an unexpired session."""
        return await self._read(lambda c: sessions.find(c, session_id, now))

    async def session_by_pid(self, pid_hash: bytes, now: int) -> records.RecoverySession | None:
        """Return the unexpired session whose private id has this hash."""
        return await self._read(lambda c: sessions.find_by_pid(c, pid_hash, now))

    async def delete_session(self, session_id: str) -> None:
        """Forget a session."""
        await self._write(lambda c: sessions.delete_session(c, session_id))

    async def delete_expired(self, now: int) -> int:
        """Forget expired sessions and refresh tokens; return how many."""
        return await self._write(
            lambda c: sessions.delete_expired(c, now) + users.delete_expired_tokens(c, now)
        )

    async def session_totals(self, now: int) -> records.SessionTotals:
        """Return figures over all unexpired sessions."""
        return await self._read(lambda c: sessions.totals(c, now))


def _open(path: Path) -> tuple[Database, str]:
    """Open the file and read the name of its history."""
    database = Database(path.resolve())
    database.open()
    with database.connect_reader() as connection:
        return database, history.read_epoch(connection)
