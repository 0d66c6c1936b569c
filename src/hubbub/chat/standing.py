"""Who may still be here: what a node asks the store after it may have missed that a right has ended."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Protocol

from hubbub.store import records


class Rights(Protocol):
    """The part of the store that is asked; see `store.base`."""

    async def member_ids(self, chat_id: str) -> list[str]:
        """Return the ids of all members of a chat."""

    async def user(self, user_id: str) -> records.User | None:
        """Return a user."""


class Standing:
    """Both raise the store's errors."""

    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    async def outsiders(self, chat_id: str, user_ids: AbstractSet[str]) -> set[str]:
        """Return those users who are no members of a chat."""
        return set(user_ids).difference(await self._rights.member_ids(chat_id))

    async def switched_off(self, user_ids: Iterable[str]) -> set[str]:
        """Return those users who are switched off, or not known any more."""
        found = {user_id: await self._rights.user(user_id) for user_id in user_ids}
        return {user_id for user_id, user in found.items() if user is None or not user.active}
