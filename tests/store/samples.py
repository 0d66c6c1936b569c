"""Users, chats and messages for the tests of the store."""

import asyncio
from collections.abc import Sequence
from itertools import count

from hubbub.store import records
from hubbub.store.base import Store

NOW = 1_700_000_000_000

_numbers = count(1)


def user(user_id: str, **facts: object) -> records.User:
    """A user; the username is the id unless told otherwise."""
    values = {"username": user_id, "email": None, "role": "user", "active": True, "created_at": NOW, **facts}
    return records.User(id=user_id, **values)  # type: ignore[arg-type]  # tests name the facts they care for


def chat(chat_id: str, **facts: object) -> records.Chat:
    """A private chat without messages."""
    values: dict[str, object] = {
        "name": chat_id,
        "description": None,
        "is_public": False,
        "created_by": "ann",
        "created_at": NOW,
        "archived_at": None,
        "last_seq": 0,
        "last_activity": NOW,
        "member_count": 0,
        **facts,
    }
    return records.Chat(id=chat_id, **values)  # type: ignore[arg-type]  # as above


def member(chat_id: str, user_id: str) -> records.Member:
    """A member from the chat's beginning."""
    return records.Member(chat_id=chat_id, user_id=user_id, role="member", joined_at=NOW, joined_seq=0)


def message(chat_id: str, user_id: str, content: str = "hello", **facts: object) -> records.NewMessage:
    """A message with an id of its own and no client message id."""
    values: dict[str, object] = {
        "id": f"message-{next(_numbers)}",
        "username": user_id,
        "type": "text",
        "client_message_id": None,
        "created_at": NOW,
        **facts,
    }
    return records.NewMessage(chat_id=chat_id, user_id=user_id, content=content, **values)  # type: ignore[arg-type]  # as above


def session(session_id: str, user_id: str = "ann", **facts: object) -> records.RecoverySession:
    """A recovery session that expires an hour after `NOW`."""
    values: dict[str, object] = {
        "socket_id": f"socket-of-{session_id}",
        "token_hash": None,
        "spent_hash": None,
        "pid_hash": None,
        "positions": {},
        "connected_at": NOW,
        "last_activity": NOW,
        "expires_at": NOW + 3_600_000,
        **facts,
    }
    return records.RecoverySession(id=session_id, user_id=user_id, **values)  # type: ignore[arg-type]  # as above


async def people(store: Store, *user_ids: str) -> None:
    """Store users without passwords."""
    await asyncio.gather(*(store.ensure_user(user(user_id)) for user_id in user_ids))


async def room(store: Store, chat_id: str, *user_ids: str) -> None:
    """Store a chat with members, and the members as users."""
    await people(store, *user_ids)
    await store.create_chat(chat(chat_id), [member(chat_id, user_id) for user_id in user_ids])


async def say(store: Store, chat_id: str, user_id: str, *contents: str) -> list[records.Message]:
    """Append messages one after the other."""
    return [(await store.append(message(chat_id, user_id, content))).message for content in contents]


async def unread(store: Store, chat_id: str, user_id: str) -> int:
    """A member's unread count, which must be the same in both places that tell it."""
    view = await store.chat_for(chat_id, user_id)
    rows = {row.chat.id: row for row in await store.chats_of(user_id, 200, None)}
    assert view is not None
    assert view.unread == rows[chat_id].unread
    return view.unread


def ids(messages: Sequence[records.Message]) -> list[str]:
    """The ids of messages."""
    return [message.id for message in messages]
