"""Presence: who is connected, and who is told of it (contract, section 5).

    first socket -> user:online ... statuses ... last socket gone -> grace -> user:offline, and remembered
    by the store

Everybody's presence told to everybody grows with the square of the users. So above `broadcast_limit`
present users only those who share a chat with somebody are told, and `users:online` says so (`scope`).
"""

import asyncio
import logging
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from hubbub.chat import access, paging, wire
from hubbub.chat.deadlines import Deadlines, Timers
from hubbub.cluster.base import Bus, Connection, PresentUser, Registry, ToEveryone, ToUsers
from hubbub.contract import answers, errors, events, objects
from hubbub.contract.requests import OnlineUsers
from hubbub.contract.values import Status, iso, now
from hubbub.store import records
from hubbub.store.base import StoreError

log = logging.getLogger(__name__)

_AT_ONCE: Final = 100

OFFLINE: Final = "offline"


class Directory(Protocol):
    """The part of the store that presence needs; see `store.base`."""

    async def user(self, user_id: str) -> records.User | None:
        """Return a user."""

    async def count_users(self) -> int:
        """Return the number of users."""

    async def set_last_seen(self, user_id: str, now: int) -> None:
        """Remember when a user was last connected."""

    async def contacts(self, user_id: str) -> set[str]:
        """Return the ids of all users who share a chat with that user, the user included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceRules:
    """`offline_grace` is in seconds; with `open_details` everybody sees what is personal."""

    offline_grace: float = 2.0
    broadcast_limit: int = 1000
    list_limit: int = 100
    open_details: bool = False


class Presence:
    """Keeps and tells who is connected. Must be closed, after the last socket has gone."""

    def __init__(
        self,
        registry: Registry,
        directory: Directory,
        bus: Bus,
        rules: PresenceRules,
        timers: Timers | None = None,
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._bus = bus
        self._rules = rules
        # Users without a socket, each with the number of the departure.
        self._leaving: Deadlines[tuple[str, int]] = Deadlines(rules.offline_grace, self._grace_over, timers)
        # The last list of each scope and its rows: the next one is mostly the same.
        self._listed: dict[str, tuple[list[PresentUser], list[objects.OnlineUser]]] = {}

    # Coming and going.

    async def connected(self, who: Connection) -> events.UsersOnline:
        """Add a socket, and tell others when its user was not present. Returns what the socket is told."""
        first = await self._registry.connect(who)
        contacts = await self._narrowed(who.user_id)
        if first:
            user = await self._registry.user(who.user_id)
            if user is not None:
                self._tell(
                    _presence(events.UserOnline, user, user.status), user.user_id, contacts, others=True
                )
        return await self._users_online(who, contacts)

    async def disconnected(self, who: Connection) -> None:
        """Remove a socket; others are told when its user has not come back within the grace time."""
        self._registry.touch(who.user_id, now())
        departure = await self._registry.disconnect(who)
        if departure is not None:
            self.departed(who.user_id, departure)

    def touch(self, who: Connection, at: int) -> None:
        """Note that a user has just done something, `at` Unix milliseconds."""
        self._registry.touch(who.user_id, at)

    async def close(self) -> None:
        """Let the users go whose grace time was still running."""
        await self._grace_over(await self._leaving.close())

    async def _grace_over(self, departures: list[tuple[str, int]]) -> None:
        for start in range(0, len(departures), _AT_ONCE):
            leaving = departures[start : start + _AT_ONCE]
            users = await asyncio.gather(*(self._registry.user(user_id) for user_id, _ in leaving))
            # Before others are told, so that whoever asks then gets the time.
            await self._remember([user for user in users if user is not None])
            await asyncio.gather(*(self._end(user_id, departure) for user_id, departure in leaving))

    async def _end(self, user_id: str, departure: int) -> None:
        """End a presence and tell of it, unless the user has come back."""
        # Asked first, so that nothing can come between the end of the presence and the telling of it.
        contacts = await self._narrowed(user_id)
        user = await self._registry.forget(user_id, departure)
        if user is not None:
            self._tell(_presence(events.UserOffline, user, OFFLINE), user_id, contacts, others=True)

    # What other nodes left behind.

    def departed(self, user_id: str, departure: int) -> None:
        """Note that a user's last socket has gone; others are told after the grace time."""
        self._leaving.set((user_id, departure))

    async def returned(self, user: PresentUser) -> None:
        """Tell the others of a user who was told as gone by mistake."""
        contacts = await self._narrowed(user.user_id)
        self._tell(_presence(events.UserOnline, user, user.status), user.user_id, contacts, others=True)

    async def _remember(self, gone: list[PresentUser]) -> None:
        """Have the store remember when users were last seen: all at once, for one commit."""
        writes = (self._directory.set_last_seen(user.user_id, user.last_seen) for user in gone)
        for result in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(result, StoreError):
                log.warning("A last seen time could not be stored: %s", result)
            elif result is not None:
                # A defect, but none that may keep the users online for ever.
                log.error("A last seen time could not be stored", exc_info=result)

    # What is told.

    async def _narrowed(self, user_id: str) -> AbstractSet[str] | None:
        """Return the only ones who are told about this user, also included; None when that is everybody."""
        if await self._registry.count_users() <= self._rules.broadcast_limit:
            return None
        try:
            return await self._directory.contacts(user_id)
        except StoreError as error:
            log.warning("Nobody is told of a user's presence: %s", error)
            return {user_id}

    def _tell(
        self, event: events.Event, user_id: str, contacts: AbstractSet[str] | None, *, others: bool
    ) -> None:
        """Tell everybody, or these contacts; with `others`, not the user."""
        if contacts is None:
            self._bus.publish(ToEveryone(event=event, skip_user=user_id if others else None))
            return
        told = frozenset(contacts - {user_id} if others else contacts)
        if told:
            self._bus.publish(ToUsers(user_ids=told, event=event))

    async def _users_online(self, who: Connection, contacts: AbstractSet[str] | None) -> events.UsersOnline:
        limit = self._rules.list_limit
        if contacts is None:
            scope = "all"
            users, count = await self._registry.users("", limit), await self._registry.count_users()
        else:
            scope = "chats"
            users, count = await self._registry.users_among(contacts, limit)
        rows = self._rows(scope, users)
        truncated = count > len(users)
        if truncated and users[-1].user_id < who.user_id:
            # A cut list still shows the socket's own user.
            own = await self._registry.user(who.user_id)
            rows = rows if own is None else [*rows[:-1], wire.online_user(own)]
        return events.UsersOnline(
            users=rows, count=count, timestamp=iso(now()), scope=scope, truncated=truncated
        )

    def _rows(self, scope: str, users: list[PresentUser]) -> list[objects.OnlineUser]:
        """Return the rows of a list; where its user is the very same object as last time, so is the row."""
        listed, rows = self._listed.get(scope, ([], []))
        if users != listed:
            known = {id(user): row for user, row in zip(listed, rows, strict=True)}
            rows = [known.get(id(user)) or wire.online_user(user) for user in users]
            self._listed[scope] = users, rows
        return rows

    # What is asked.

    async def update_status(self, who: Connection, status: Status) -> answers.StatusUpdated:
        """Set the status of the user; all are told when it is another one."""
        before = await self._registry.set_status(who.user_id, status.value)
        user = await self._registry.user(who.user_id)
        if user is not None and before is not None and before != status:
            changed = events.UserStatusChanged(
                user_id=user.user_id,
                username=user.username,
                status=status.value,
                old_status=before,
                new_status=status.value,
                last_seen=iso(user.last_seen),
                timestamp=iso(now()),
            )
            self._tell(changed, user.user_id, await self._narrowed(user.user_id), others=False)
        return answers.StatusUpdated()

    async def online_users(self, request: OnlineUsers) -> answers.OnlineUsers:
        """Return a page of everybody present. Raises `RequestError` for a bad cursor."""
        after = "" if request.cursor is None else paging.decode(request.cursor)
        users = await self._registry.users(after, request.limit + 1)
        page, rest = users[: request.limit], users[request.limit :]
        return answers.OnlineUsers(
            users=[wire.online_user(user) for user in page],
            next_cursor=paging.encode(page[-1].user_id) if rest else None,
        )

    async def user_status(self, who: Connection, user_id: str) -> answers.UserStatus:
        """Return a user's presence; what is personal only to that user and to admins, unless it is open to
        all.

        Raises `RequestError` for an unknown user.
        """
        present = await self._registry.user(user_id)
        if present is not None:
            presence = _of_present(present)
        else:
            absent = await self._directory.user(user_id)
            if absent is None:
                raise errors.user_not_found()
            presence = _of_absent(absent)
        if access.sees_details(who, user_id, open_to_all=self._rules.open_details):
            return answers.UserStatus(presence=presence)
        return answers.UserStatus(presence=_without_details(presence))

    async def stats(self) -> answers.PresenceStats:
        """Return how many users there are, by status."""
        present = await self._registry.status_counts()
        connected = present.online + present.away + present.busy
        total = max(await self._directory.count_users(), connected)
        return answers.PresenceStats(
            stats=objects.PresenceStats(
                total_users=total,
                online_users=present.online,
                away_users=present.away,
                busy_users=present.busy,
                offline_users=total - connected,
            )
        )


def _presence(
    event: type[events.UserOnline | events.UserOffline], user: PresentUser, status: str
) -> events.UserPresence:
    return event(
        user_id=user.user_id,
        username=user.username,
        status=status,
        last_seen=iso(user.last_seen),
        timestamp=iso(now()),
    )


def _of_present(user: PresentUser) -> objects.Presence:
    return objects.Presence(
        user_id=user.user_id,
        username=user.username,
        email=user.email,
        status=user.status,
        last_seen=iso(user.last_seen),
        connected_at=iso(user.connected_at),
        socket_id=user.newest.socket_id,
        user_agent=user.newest.user_agent,
        ip_address=user.newest.address,
    )


def _of_absent(user: records.User) -> objects.Presence:
    return objects.Presence(
        user_id=user.id,
        username=user.username,
        email=user.email,
        status=OFFLINE,
        last_seen=None if user.last_seen is None else iso(user.last_seen),
        connected_at=None,
        socket_id=None,
        user_agent=None,
        ip_address=None,
    )


def _without_details(presence: objects.Presence) -> objects.Presence:
    return msgspec.structs.replace(presence, email=None, socket_id=None, user_agent=None, ip_address=None)
