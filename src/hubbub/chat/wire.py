"""Stored records as the objects of the contract: the one place where they are turned into each other."""

from hubbub.cluster.base import PresentUser
from hubbub.contract import objects
from hubbub.contract.values import iso
from hubbub.store import records


def message(record: records.Message) -> objects.Message:
    """A message as `sentMessage`, `message:new` and history show it."""
    return objects.Message(
        id=record.id,
        content=record.content,
        type=record.type,
        chat_id=record.chat_id,
        user_id=record.user_id,
        created_at=iso(record.created_at),
        user=objects.Author(id=record.user_id, username=record.username),
        seq=record.seq,
        client_message_id=record.client_message_id,
    )


def room_info(chat: records.Chat, online_count: int) -> objects.RoomInfo:
    """A chat's facts as `room:info` shows them."""
    return objects.RoomInfo(
        chat_id=chat.id,
        name=chat.name,
        description=chat.description,
        participant_count=chat.member_count,
        online_count=online_count,
        is_active=chat.archived_at is None,
        last_activity=iso(chat.last_activity),
    )


def online_user(user: PresentUser) -> objects.OnlineUser:
    """A connected user as lists show one."""
    return objects.OnlineUser(
        user_id=user.user_id,
        username=user.username,
        status=user.status,
        last_seen=iso(user.last_seen),
        connected_at=iso(user.connected_at),
    )
