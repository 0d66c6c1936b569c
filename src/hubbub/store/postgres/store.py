"""The store on a PostgreSQL database, which any number of nodes may share.

    writes that come in crowds ─ Gathering ─ a few connections, a batch to a transaction   (gathering.py)
    other writes ──────────────────────────┘ a transaction each                            (connections.py)
    reads ────────────────────────────────── a few connections of their own

This module says which statement answers which method of the port.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import asyncpg

from hubbub.store import records
from hubbub.store.base import Cursor, ReceiptKind, StoreError, StoreUnavailable, StoreUnusable
from hubbub.store.postgres import append, chats, confirm, log, sessions, users
from hubbub.store.postgres.address import unusable
from hubbub.store.postgres.connections import Connections, Transaction
from hubbub.store.postgres.failures import is_refused, unstorable
from hubbub.store.postgres.gathering import Gathering
from hubbub.store.postgres.history import History
from hubbub.store.postgres.opening import prepare
from hubbub.store.queries.sessions import Change
from hubbub.store.queries.users import is_as_stored

P = TypeVar("P")
R = TypeVar("R")
T = TypeVar("T")

READERS: Final = 4
WRITERS: Final = 6
"""Connections of each kind that a node uses at most."""

APPENDING: Final = 3
"""Batches of messages that may be in flight at once: a chat that another node has locked holds up its own."""

DEADLINE: Final = 6.0
"""Seconds that closing waits; the whole server has ten to stop."""

TOUCH: Final = "UPDATE counters SET users = users WHERE id = 1 + pg_backend_pid() % 16"


class PostgresStore:
    """A `Store` in a database that other stores write as well."""

    def __init__(self, url: str) -> None:
        self._history = History()
        self._readers = Connections(url, self._history, READERS)
        self._writers = Connections(url, self._history, WRITERS)
        self._append = Gathering(self._append_all, append.keys, APPENDING)
        self._confirm = Gathering(self._each(confirm.confirm), confirm.keys, 1)
        self._sessions = Gathering(self._each(sessions.change), sessions.keys, 1)
        self._arrivals = Gathering(self._each(users.ensure_users), users.user_key, 1)
        self._seen = Gathering(self._each(users.set_last_seen), users.seen_key, 1)

    @classmethod
    async def open(cls, url: str) -> "PostgresStore":
        """Open a database, its tables made or migrated as needed.

        Raises `StoreUnusable`, with one readable line that never tells the password, when there is no
        connecting to it, when it cannot be written or would lose what is acknowledged, is another program's,
        or is one of a newer hubbub.
        """
        await prepare(url)
        store = cls(url)
        try:
            await store._writers.look()
        except StoreUnavailable as error:
            raise StoreUnusable(str(error)) from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise unusable(url, error) from None
        return store

    async def close(self) -> None:
        """Finish what was begun, as long as it takes no more than seconds, and let go of the database."""
        await asyncio.gather(*(gathering.close(DEADLINE) for gathering in self._gatherings))
        await asyncio.gather(self._writers.close(DEADLINE / 2), self._readers.close(0.5))

    @property
    def _gatherings(self) -> "Sequence[Gathering[object, object]]":
        # What they gather is of no interest here.
        return (self._append, self._confirm, self._sessions, self._arrivals, self._seen)  # type: ignore[return-value]

    async def _append_all(
        self, batch: Sequence[records.NewMessage]
    ) -> Sequence[records.Appended | StoreError]:
        outcomes = await self._each(append.append)(batch)
        for outcome in outcomes:
            if isinstance(outcome, records.Appended):
                self._history.saw(outcome.message.position, outcome.message.id)
        return outcomes

    def _each(
        self, do: Callable[[Transaction, Sequence[P]], Awaitable[list[R | StoreError]]]
    ) -> Callable[[Sequence[P]], Awaitable[Sequence[R | StoreError]]]:
        """Do a batch in one transaction; if a value in it is refused, each operation in its own."""

        async def each(batch: Sequence[P]) -> Sequence[R | StoreError]:
            try:
                return await self._writers.attempt(lambda transaction: do(transaction, batch))
            except Exception as error:
                if not is_refused(error):
                    raise
                if len(batch) == 1:
                    return [unstorable(error)]
            outcomes: list[R | StoreError] = []
            for payload in batch:
                try:
                    outcomes += await each([payload])
                except StoreUnavailable as error:
                    outcomes.append(error)
            return outcomes

        return each

    async def epoch(self) -> str:
        """Return the name of this history, as the last connection that was opened has found it."""
        return self._history.epoch

    def on_new_epoch(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called when a new connection finds that the history is another one."""
        self._history.on_new_epoch(tell)

    async def check(self) -> None:
        """Do a small read and a small durable write, and see that no other has failed a moment ago."""
        await self._readers.read(lambda connection: connection.fetchval("SELECT 1"))
        await self._writers.write(lambda transaction: transaction.connection.execute(TOUCH))
        if self._writers.is_shaken:
            raise StoreUnavailable("the database could not be written a moment ago")

    def appending(self) -> bool:
        """Whether messages are being committed now."""
        return self._append.is_busy

    def commits(self) -> records.Commits:
        """Return figures of the group commit."""
        return records.Commits(
            transactions=sum(gathering.transactions for gathering in self._gatherings),
            operations=sum(gathering.operations for gathering in self._gatherings),
            seconds=sum(gathering.seconds for gathering in self._gatherings),
        )

    async def create_user(self, user: records.User, password_hash: str | None) -> None:
        """Store a new user."""
        await self._writers.write(lambda t: users.create_user(t, user, password_hash))

    async def ensure_user(self, user: records.User) -> records.User:
        """Return the stored user of that id, creating or changing it as needed; mostly it only reads."""
        stored = await self._readers.read(lambda c: users.find_user(c, user.id))
        if stored is not None and is_as_stored(user, stored):
            return stored
        return await self._arrivals.submit(user)

    async def user(self, user_id: str) -> records.User | None:
        """Return a user."""
        return await self._readers.read(lambda c: users.find_user(c, user_id))

    async def credentials(self, login: str) -> records.Credentials | None:
        """Return the user with a password of that username or email."""
        return await self._readers.read(lambda c: users.find_credentials(c, login))

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """Replace a user's password hash."""
        await self._writers.write(lambda t: users.set_password(t, user_id, password_hash))

    async def set_active(self, user_id: str, active: bool) -> bool:
        """Switch a user on or off."""
        return await self._writers.write(lambda t: users.set_active(t, user_id, active))

    async def set_last_seen(self, user_id: str, now: int) -> None:
        """Remember when a user was last connected."""
        await self._seen.submit(users.Seen(user_id, now))

    async def list_users(self, after: str, limit: int) -> list[records.User]:
        """Return users by username and id."""
        return await self._readers.read(lambda c: users.list_users(c, after, limit))

    async def count_users(self) -> int:
        """Return the number of users."""
        return await self._readers.read(users.count_users)

    async def save_refresh_token(self, token: records.RefreshToken) -> None:
        """Remember a refresh token."""
        await self._writers.write(lambda t: users.save_refresh_token(t, token))

    async def take_refresh_token(self, token_hash: bytes, now: int) -> str | None:
        """Use up a refresh token."""
        return await self._writers.write(lambda t: users.take_refresh_token(t, token_hash, now))

    async def drop_refresh_tokens(self, user_id: str) -> None:
        """Forget all refresh tokens of a user."""
        await self._writers.write(lambda t: users.drop_refresh_tokens(t, user_id))

    async def create_chat(self, chat: records.Chat, members: Sequence[records.Member]) -> None:
        """Store a new chat with its first members."""
        await self._writers.write(lambda t: chats.create_chat(t, chat, members))

    async def chat(self, chat_id: str) -> records.Chat | None:
        """Return a chat."""
        return await self._readers.read(lambda c: chats.find_chat(c, chat_id))

    async def chat_for(self, chat_id: str, user_id: str) -> records.ChatView | None:
        """Return a chat as a user sees it."""
        return await self._readers.read(lambda c: chats.view_chat(c, chat_id, user_id))

    async def chats_of(self, user_id: str, limit: int, before: Cursor | None) -> list[records.ChatRow]:
        """Return a member's chats by last activity, newest first."""
        return await self._readers.read(lambda c: chats.list_chats(c, user_id, limit, before))

    async def list_chats(self, limit: int, before: Cursor | None) -> list[records.Chat]:
        """Return all chats by last activity, newest first."""
        return await self._readers.read(lambda c: chats.list_all_chats(c, limit, before))

    async def update_chat(
        self, chat_id: str, *, name: str, description: str | None, archived_at: int | None
    ) -> None:
        """Replace a chat's name, description and archived state."""
        await self._writers.write(lambda t: chats.update_chat(t, chat_id, name, description, archived_at))

    async def add_member(self, chat_id: str, user_id: str, role: str, now: int) -> bool:
        """Make a user a member, or give a member another role."""
        member = records.Member(chat_id=chat_id, user_id=user_id, role=role, joined_at=now, joined_seq=0)
        return await self._writers.write(lambda t: chats.add_member(t, member))

    async def remove_member(self, chat_id: str, user_id: str) -> bool:
        """End a membership."""
        return await self._writers.write(lambda t: chats.remove_member(t, chat_id, user_id))

    async def members(self, chat_id: str, after: str, limit: int) -> list[records.Member]:
        """Return a chat's members by user id."""
        return await self._readers.read(lambda c: chats.list_members(c, chat_id, after, limit))

    async def member_ids(self, chat_id: str) -> list[str]:
        """Return the ids of all members of a chat."""
        return await self._readers.read(lambda c: chats.member_ids(c, chat_id))

    async def contacts(self, user_id: str) -> set[str]:
        """Return the ids of all users who share a chat with that user."""
        return await self._readers.read(lambda c: chats.contacts(c, user_id))

    async def chat_ids_of(self, user_id: str) -> list[str]:
        """Return the ids of all chats that a user is a member of."""
        return await self._readers.read(lambda c: chats.chat_ids(c, user_id))

    def orders_all_chats(self) -> bool:
        """Several nodes write: a position orders the messages of its chat only."""
        return False

    def append(self, message: records.NewMessage) -> "asyncio.Future[records.Appended]":
        """Append a message; the future is done after the commit, in the order of `seq`."""
        return self._append.submit(message)

    async def read(
        self, chat_id: str, *, after: int = 0, before: int | None = None, limit: int, newest: bool = False
    ) -> list[records.Message]:
        """Return messages with `after < seq < before`, oldest first."""
        return await self._readers.read(lambda c: log.read(c, chat_id, (after, before), limit, newest))

    async def message(self, message_id: str) -> records.Message | None:
        """Return a message."""
        return await self._readers.read(lambda c: log.find_message(c, message_id))

    async def last_seqs(self, chat_ids: Sequence[str]) -> dict[str, int]:
        """Return the newest `seq` of each of these chats that exists."""
        return await self._readers.read(lambda c: log.last_seqs(c, chat_ids))

    async def last_position(self) -> int:
        """Return the newest `position`."""
        return await self._readers.read(log.last_position)

    def confirm(
        self, chat_id: str, user_id: str, message_ids: Sequence[str], kind: ReceiptKind, now: int
    ) -> "asyncio.Future[list[records.Receipt]]":
        """Record receipts of a member; the future gives those that are new."""
        confirmation = records.Confirmation(
            chat_id=chat_id, user_id=user_id, message_ids=message_ids, kind=kind, now=now
        )
        return self._confirm.submit(confirmation)

    async def delivery_status(self, message: records.Message) -> records.DeliveryStatus:
        """Return who has received and read a message."""
        return await self._readers.read(lambda c: log.delivery_status(c, message))

    async def totals(self) -> records.MessageTotals:
        """Return the totals over all chats."""
        return await self._readers.read(log.totals)

    def save_session(
        self, session: records.RecoverySession, *, replaces: str | None = None, renews: bool = False
    ) -> "asyncio.Future[None]":
        """Store or replace a session by its id, unless another has its token now; done after the commit."""
        return self._sessions.submit(Change(session, replaces, renews))

    async def session(self, session_id: str, now: int) -> records.RecoverySession | None:
        """Return an unexpired session."""
        return await self._readers.read(lambda c: sessions.find(c, session_id, now))

    async def session_by_pid(self, pid_hash: bytes, now: int) -> records.RecoverySession | None:
        """Return the unexpired session whose private id has this hash."""
        return await self._readers.read(lambda c: sessions.find_by_pid(c, pid_hash, now))

    async def delete_session(self, session_id: str) -> None:
        """Forget a session."""
        await self._sessions.submit(Change(None, session_id))

    async def delete_expired(self, now: int) -> int:
        """Forget expired sessions and refresh tokens; return how many."""
        return await self._writers.write(lambda t: sessions.delete_expired(t, now))

    async def session_totals(self, now: int) -> records.SessionTotals:
        """Return figures over all unexpired sessions."""
        return await self._readers.read(lambda c: sessions.totals(c, now))
