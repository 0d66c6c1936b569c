"""Chats and their members: made, changed and looked at over HTTP.

    check (`access`) -> change, stored -> the one it expels is told, then the room

Changes of one chat follow each other, so that rules about its state (the last admin stays) hold.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakValueDictionary

from msgspec import UNSET

from hubbub.chat import access, paging, wire
from hubbub.chat.access import Actor
from hubbub.cluster.base import Bus, Expel
from hubbub.contract import errors, rest
from hubbub.contract.errors import RequestError
from hubbub.contract.values import MAX_PAGE, Role, iso, new_id, now
from hubbub.store import records
from hubbub.store.base import Store

# Control characters but tab and newline; a name is one line and has none at all.
_CONTROL: Final = {code: None for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}

LAST_ADMIN: Final = "The last admin stays while the chat has other members: make another one admin first"


class Chats:
    """The rules about chats as such; what happens in their rooms is elsewhere."""

    def __init__(self, store: Store, bus: Bus, tell_info: Callable[[records.Chat], Awaitable[None]]) -> None:
        """`tell_info` tells a chat's room that its facts have changed."""
        self._store = store
        self._bus = bus
        self._tell_info = tell_info
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _changing(self, chat_id: str) -> asyncio.Lock:
        """The lock that changes of this chat take turns by."""
        return self._locks.setdefault(chat_id, asyncio.Lock())

    async def create(self, who: Actor, request: rest.NewChat) -> rest.Chat:
        """Make a chat whose admin is its maker. Unknown participants are NOT_FOUND."""
        time = now()
        chat_id = new_id()
        user_ids = [one for one in dict.fromkeys(request.participants) if one != who.user_id]
        for user_id in (who.user_id, *user_ids):  # the operator is no user
            await self._require_user(user_id)
        chat = records.Chat(
            id=chat_id,
            name=cleaned_name(request.name),
            description=cleaned_description(request.description),
            is_public=request.is_public,
            created_by=who.user_id,
            created_at=time,
            archived_at=None,
            last_seq=0,
            last_activity=time,
            member_count=1 + len(user_ids),
        )
        roles = {who.user_id: Role.ADMIN, **dict.fromkeys(user_ids, Role.USER)}
        members = [
            records.Member(chat_id=chat_id, user_id=user_id, role=role, joined_at=time, joined_seq=0)
            for user_id, role in roles.items()
        ]
        await self._store.create_chat(chat, members)
        return shown(records.ChatView(chat=chat, member=members[0], unread=0))

    async def look(self, who: Actor, chat_id: str) -> rest.Chat:
        """Return a chat to somebody who may see it."""
        return shown(await access.check_view(self._store, chat_id, who))

    async def page(self, user_id: str, cursor: str | None, limit: int) -> rest.ChatList:
        """Return a page of a user's chats, newest activity first."""
        before = None if cursor is None else paging.decode_chat(cursor)
        rows = await self._store.chats_of(user_id, limit + 1, before)
        page, more = rows[:limit], rows[limit:]
        return rest.ChatList(
            chats=[listed(row) for row in page],
            next_cursor=paging.encode_chat(page[-1].chat) if more else None,
        )

    async def page_of_all(self, who: Actor, cursor: str | None, limit: int) -> rest.ChatList:
        """Return a page of all chats, newest activity first, to server admins."""
        access.check_server_admin(who)
        before = None if cursor is None else paging.decode_chat(cursor)
        rows = await self._store.list_chats(limit + 1, before)
        page, more = rows[:limit], rows[limit:]
        return rest.ChatList(
            chats=[listed(records.ChatRow(chat=chat, unread=0, last_message=None)) for chat in page],
            next_cursor=paging.encode_chat(page[-1]) if more else None,
        )

    async def change(self, who: Actor, chat_id: str, request: rest.ChatChange) -> rest.Chat:
        """Rename, describe, archive or revive a chat, and tell its room if anything is new."""
        async with self._changing(chat_id):
            view = await access.check_edit(self._store, chat_id, who)
            chat = view.chat
            name = chat.name if request.name is UNSET else cleaned_name(request.name)
            description = (
                chat.description if request.description is UNSET else cleaned_description(request.description)
            )
            archived_at = chat.archived_at
            if request.archived is not UNSET and request.archived != (archived_at is not None):
                archived_at = now() if request.archived else None
            if (name, description, archived_at) == (chat.name, chat.description, chat.archived_at):
                return shown(view)
            await self._store.update_chat(
                chat_id, name=name, description=description, archived_at=archived_at
            )
        return await self._tell_and_show(who, chat_id)

    async def participants(
        self, who: Actor, chat_id: str, cursor: str | None, limit: int
    ) -> rest.ParticipantList:
        """Return a page of a chat's members, by user id."""
        await access.check_view(self._store, chat_id, who)
        after = "" if cursor is None else paging.decode(cursor)
        rows = await self._store.members(chat_id, after, limit + 1)
        page, more = rows[:limit], rows[limit:]
        users = await asyncio.gather(*(self._store.user(row.user_id) for row in page))
        return rest.ParticipantList(
            participants=[participant(row, user) for row, user in zip(page, users, strict=True)],
            next_cursor=paging.encode(page[-1].user_id) if more else None,
        )

    async def add(
        self, who: Actor, chat_id: str, request: rest.NewParticipant
    ) -> tuple[rest.Participant, bool]:
        """Make a user a member, or give a member a role; the second part tells whether the user is new.

        Without a role a new member is an ordinary one, and an old one stays what it is.
        """
        async with self._changing(chat_id):
            view = await access.check_add(self._store, chat_id, who)
            user = await self._require_user(request.user_id)
            member = await self._member(chat_id, request.user_id)
            role = request.role or (Role.USER if member is None else member.role)
            if role != (Role.USER if member is None else member.role):
                access.check_role_gift(view, who)
                if member is not None and member.role == Role.ADMIN:
                    await self._check_not_last_admin(view.chat, member)
            new = member is None or member.role != role
            added = new and await self._store.add_member(chat_id, request.user_id, role, now())
        if added:
            await self._tell_and_show(who, chat_id)
        stored = await self._member(chat_id, request.user_id)
        if stored is None:
            raise errors.conflict("The user was removed again in the meantime")
        return participant(stored, user), added

    async def remove(self, who: Actor, chat_id: str, user_id: str) -> None:
        """End a membership: the user's sockets leave the room, then the room is told."""
        async with self._changing(chat_id):
            view = await access.check_remove(self._store, chat_id, who, user_id)
            member = await self._member(chat_id, user_id)
            if member is None:
                raise RequestError(errors.Code.NOT_FOUND, "User is not a member of this chat")
            access.check_removal_of(member, view, who)
            if member.role == Role.ADMIN:
                await self._check_not_last_admin(view.chat, member)
            await self._store.remove_member(chat_id, user_id)
        self._bus.publish(Expel(chat_id=chat_id, user_id=user_id))
        chat = await self._store.chat(chat_id)
        if chat is not None:
            await self._tell_info(chat)

    async def _check_not_last_admin(self, chat: records.Chat, member: records.Member) -> None:
        """An admin may go when another one is there, or nobody else at all."""
        if chat.member_count == 1:
            return
        after = ""
        while page := await self._store.members(chat.id, after, MAX_PAGE):
            if any(other.role == Role.ADMIN and other.user_id != member.user_id for other in page):
                return
            after = page[-1].user_id
        raise errors.conflict(LAST_ADMIN)

    async def history(
        self, who: Actor, chat_id: str, after: int | None, before: int | None, limit: int
    ) -> rest.History:
        """Return messages to a member: the oldest behind `after`, or else the newest (before `before`)."""
        await access.check_member(self._store, chat_id, who.user_id)
        newest = after is None
        found = await self._store.read(
            chat_id, after=after or 0, before=before, limit=limit + 1, newest=newest
        )
        page = found[-limit:] if newest else found[:limit]
        return rest.History(
            messages=[wire.message(message) for message in page],
            has_more=len(found) > limit,
            epoch=await self._store.epoch(),
        )

    async def _member(self, chat_id: str, user_id: str) -> records.Member | None:
        view = await self._store.chat_for(chat_id, user_id)
        return None if view is None else view.member

    async def _require_user(self, user_id: str) -> records.User:
        user = await self._store.user(user_id)
        if user is None:
            raise errors.user_not_found()
        return user

    async def _tell_and_show(self, who: Actor, chat_id: str) -> rest.Chat:
        view = await access.check_view(self._store, chat_id, who)
        await self._tell_info(view.chat)
        return shown(view)


def cleaned_name(text: str) -> str:
    """A chat's name as it is stored: one line, trimmed. Raises `RequestError` when nothing is left."""
    name = text.translate(_CONTROL).translate({9: " ", 10: " "}).strip()
    if not name:
        raise errors.invalid("name", "is empty")
    return name


def cleaned_description(text: str | None) -> str | None:
    """A chat's description as it is stored: trimmed; none rather than an empty one."""
    return None if text is None else text.translate(_CONTROL).strip() or None


def shown(view: records.ChatView) -> rest.Chat:
    """A chat as the HTTP API shows it to one user."""
    chat = view.chat
    return rest.Chat(
        id=chat.id,
        name=chat.name,
        description=chat.description,
        is_public=chat.is_public,
        is_active=chat.archived_at is None,
        created_by=chat.created_by,
        created_at=iso(chat.created_at),
        last_activity=iso(chat.last_activity),
        last_seq=chat.last_seq,
        participant_count=chat.member_count,
        role=None if view.member is None else view.member.role,
        unread_count=view.unread,
    )


def listed(row: records.ChatRow) -> rest.ListedChat:
    """A chat as the HTTP API lists it."""
    chat = row.chat
    return rest.ListedChat(
        id=chat.id,
        name=chat.name,
        description=chat.description,
        is_public=chat.is_public,
        is_active=chat.archived_at is None,
        created_by=chat.created_by,
        created_at=iso(chat.created_at),
        last_activity=iso(chat.last_activity),
        last_seq=chat.last_seq,
        participant_count=chat.member_count,
        unread_count=row.unread,
        last_message=None if row.last_message is None else wire.message(row.last_message),
    )


def participant(member: records.Member, user: records.User | None) -> rest.Participant:
    """A member as the HTTP API shows one."""
    return rest.Participant(
        user_id=member.user_id,
        username=member.user_id if user is None else user.username,
        role=member.role,
        joined_at=iso(member.joined_at),
    )
