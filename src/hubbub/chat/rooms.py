"""Rooms: entering, leaving and looking into the rooms of chats.

A chat has members, who are stored, and a room: the sockets that joined now, kept by the registry. Which
socket gets what the room is told is the gateway's business; here are the rules and what others are told.
"""

from hubbub.chat import access, paging, wire
from hubbub.chat.online import RoomWatch
from hubbub.chat.typing import Typing
from hubbub.cluster.base import Bus, Connection, Occupancy, Registry, ToRoom, Vacancy
from hubbub.contract import answers, events, objects, requests
from hubbub.contract.values import iso, now
from hubbub.store import records
from hubbub.store.base import Store


class Rooms:
    """Who comes and goes, and who is told of it."""

    def __init__(self, store: Store, registry: Registry, bus: Bus, watch: RoomWatch, typing: Typing) -> None:
        self._store = store
        self._registry = registry
        self._bus = bus
        self._watch = watch
        self._typing = typing

    async def admit(self, who: Connection, chat_id: str) -> records.ChatView:
        """Let a user in who may enter; joining a public chat makes the user a member.

        Raises `RequestError` for anybody else.
        """
        view = await access.check_join(self._store, chat_id, who.user_id)
        if view.member is not None:
            return view
        await self._store.add_member(chat_id, who.user_id, "user", now())
        view = await access.check_member(self._store, chat_id, who.user_id)
        await self.tell_info(view.chat)
        return view

    async def check_view(self, who: Connection, chat_id: str) -> records.ChatView:
        """Return the chat to somebody who may look into its room. Raises `RequestError` for anybody else."""
        return await access.check_join(self._store, chat_id, who.user_id)

    async def enter(self, who: Connection, chat_id: str) -> Occupancy:
        """Put a socket into the room and tell the others."""
        occupancy = await self._registry.enter(chat_id, who)
        if occupancy.changed:
            self._tell(events.UserJoined, who, chat_id, occupancy)
            if occupancy.devices == 1:
                self._watch.changed(chat_id)
        return occupancy

    async def leave(self, who: Connection, chat_id: str) -> events.RoomLeft:
        """Take a socket out of the room and tell the others. Returns what the socket itself is told."""
        await self._typing.left(who, chat_id)
        occupancy = await self._registry.leave(chat_id, who)
        if occupancy.changed:
            self._tell(events.UserLeft, who, chat_id, occupancy)
            if occupancy.devices == 0:
                self._watch.changed(chat_id)
        return events.RoomLeft(chat_id=chat_id, online_count=occupancy.online)

    def vacated(self, vacancy: Vacancy) -> None:
        """Tell a room that a user's sockets on a dead node have left it."""
        left = events.UserLeft(
            user_id=vacancy.user_id,
            username=vacancy.username,
            chat_id=vacancy.chat_id,
            online_count=vacancy.occupancy.online,
            device_count=vacancy.occupancy.devices,
            timestamp=iso(now()),
        )
        self._bus.publish(ToRoom(chat_id=vacancy.chat_id, event=left))
        if vacancy.occupancy.devices == 0:
            self._watch.changed(vacancy.chat_id)

    def restored(self, chat_id: str) -> None:
        """Tell a room who is in it, after somebody was thought gone by mistake."""
        self._watch.changed(chat_id)

    def _tell(
        self, event: type[events.Membership], who: Connection, chat_id: str, occupancy: Occupancy
    ) -> None:
        told = event(
            user_id=who.user_id,
            username=who.username,
            chat_id=chat_id,
            online_count=occupancy.online,
            device_count=occupancy.devices,
            timestamp=iso(now()),
        )
        self._bus.publish(ToRoom(chat_id=chat_id, event=told, skip_socket=who.socket_id))

    async def joined_info(self, view: records.ChatView, last_seq: int) -> objects.JoinedRoomInfo:
        """Return what somebody who enters is told of a chat; `last_seq` is where live messages begin."""
        chat = view.chat
        return objects.JoinedRoomInfo(
            chat_id=chat.id,
            name=chat.name,
            participant_count=chat.member_count,
            is_active=chat.archived_at is None,
            last_activity=iso(chat.last_activity),
            last_seq=last_seq,
            unread_count=max(view.unread + last_seq - chat.last_seq, 0),
            epoch=await self._store.epoch(),
        )

    async def info(self, who: Connection, chat_id: str) -> answers.RoomInfo:
        """Tell somebody who may see the chat its facts."""
        view = await self.check_view(who, chat_id)
        online = await self._registry.room_count(chat_id)
        return answers.RoomInfo(room_info=wire.room_info(view.chat, online))

    async def tell_info(self, chat: records.Chat) -> None:
        """Tell the room that the chat's facts have changed."""
        info = wire.room_info(chat, await self._registry.room_count(chat.id))
        event = events.RoomInfoChanged(chat_id=chat.id, room_info=info, timestamp=iso(now()))
        self._bus.publish(ToRoom(chat_id=chat.id, event=event))

    async def list(self, who: Connection, request: requests.RoomList) -> answers.RoomList:
        """Return a page of a user's chats, newest activity first."""
        before = None if request.cursor is None else paging.decode_chat(request.cursor)
        rows = await self._store.chats_of(who.user_id, request.limit + 1, before)
        page, rest = rows[: request.limit], rows[request.limit :]
        return answers.RoomList(
            rooms=[_summary(row) for row in page],
            next_cursor=paging.encode_chat(page[-1].chat) if rest else None,
        )

    async def online(self, who: Connection, request: requests.RoomOnline) -> answers.RoomOnline:
        """Return a page of the users in a room, to somebody who may see the chat."""
        await self.check_view(who, request.chat_id)
        after = "" if request.cursor is None else paging.decode(request.cursor)
        users = await self._registry.room_users(request.chat_id, after, request.limit + 1)
        page, rest = users[: request.limit], users[request.limit :]
        return answers.RoomOnline(
            online_users=[wire.online_user(user) for user in page],
            next_cursor=paging.encode(page[-1].user_id) if rest else None,
        )


def _summary(row: records.ChatRow) -> objects.RoomSummary:
    return objects.RoomSummary(
        chat_id=row.chat.id,
        name=row.chat.name,
        participant_count=row.chat.member_count,
        last_activity=iso(row.chat.last_activity),
        unread_count=row.unread,
        last_message=None if row.last_message is None else wire.message(row.last_message),
    )
