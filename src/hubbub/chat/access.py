"""Who may do what: the only permission checks there are.

A `check_*` function returns what it looked up, or raises the `RequestError` that the client gets. Nothing
tells an outsider whether a chat exists: the refusal is the same for an unknown chat and for a hidden one.
Server admins may see and run every chat, but its messages are for members only.
"""

from typing import Protocol

from hubbub.contract import errors
from hubbub.contract.values import Role
from hubbub.store import records
from hubbub.store.base import Chats


class Actor(Protocol):
    """Who acts: a connected socket's user, or the bearer of a token."""

    @property
    def user_id(self) -> str:
        """The user's id."""

    @property
    def role(self) -> str:
        """What the user may do on the whole server."""


async def find_membership(chats: Chats, chat_id: str, user_id: str) -> records.ChatView | None:
    """Return the chat to one of its members, None to anybody else."""
    view = await chats.chat_for(chat_id, user_id)
    return None if view is None or view.member is None else view


async def check_member(chats: Chats, chat_id: str, user_id: str) -> records.ChatView:
    """Return the chat to one of its members."""
    view = await find_membership(chats, chat_id, user_id)
    if view is None:
        raise errors.chat_not_found()
    return view


def sees_details(who: Actor, user_id: str | None, *, open_to_all: bool) -> bool:
    """Whether somebody may see what is personal of a user, or of everybody (None)."""
    return open_to_all or who.user_id == user_id or who.role == Role.ADMIN


async def check_join(chats: Chats, chat_id: str, user_id: str) -> records.ChatView:
    """Return the chat to somebody who may enter its room: a member, or anybody when it is public."""
    view = await chats.chat_for(chat_id, user_id)
    if view is None or not (view.member or view.chat.is_public):
        raise errors.chat_not_found()
    return view


async def check_view(chats: Chats, chat_id: str, who: Actor) -> records.ChatView:
    """Return the chat to somebody who may see its facts and members: who may join, and server admins."""
    view = await chats.chat_for(chat_id, who.user_id)
    if view is None or not (view.member or view.chat.is_public or who.role == Role.ADMIN):
        raise errors.chat_not_found()
    return view


async def check_edit(chats: Chats, chat_id: str, who: Actor) -> records.ChatView:
    """Return the chat to somebody who may change its name, description and archived state."""
    view = await check_view(chats, chat_id, who)
    if authority(view, who) != Role.ADMIN:
        raise errors.forbidden("Only admins of the chat may change it")
    return view


async def check_add(chats: Chats, chat_id: str, who: Actor) -> records.ChatView:
    """Return the chat to somebody who may add members to it; see also `check_role_gift`."""
    view = await check_view(chats, chat_id, who)
    if authority(view, who) not in (Role.ADMIN, Role.MODERATOR):
        raise errors.forbidden("Only admins and moderators of the chat may add members")
    return view


def check_role_gift(view: records.ChatView, who: Actor) -> None:
    """Only admins say what a member is, beyond an ordinary one."""
    if authority(view, who) != Role.ADMIN:
        raise errors.forbidden("Only admins of the chat may give roles")


async def check_remove(chats: Chats, chat_id: str, who: Actor, user_id: str) -> records.ChatView:
    """Return the chat to somebody who may end this user's membership, if it is one.

    Everybody may end their own. Moderators may not remove admins, which `check_removal_of` looks after.
    """
    if user_id == who.user_id:
        return await check_member(chats, chat_id, user_id)
    view = await check_view(chats, chat_id, who)
    if authority(view, who) not in (Role.ADMIN, Role.MODERATOR):
        raise errors.forbidden("Only admins and moderators of the chat may remove members")
    return view


def check_removal_of(member: records.Member, view: records.ChatView, who: Actor) -> None:
    """An admin of the chat is removed by another admin, or leaves; never removed by a moderator."""
    own = member.user_id == who.user_id
    if member.role == Role.ADMIN and not own and authority(view, who) != Role.ADMIN:
        raise errors.forbidden("Only admins of the chat may remove an admin")


def check_server_admin(who: Actor) -> None:
    """Some things are for admins of the whole server only."""
    if who.role != Role.ADMIN:
        raise errors.forbidden("Only admins of the server may do this")


def authority(view: records.ChatView, who: Actor) -> str | None:
    """What somebody is to a chat: the member's role, `admin` for a server admin; None for an outsider."""
    if who.role == Role.ADMIN:
        return Role.ADMIN
    return view.member.role if view.member is not None else None
