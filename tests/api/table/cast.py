"""Who plays in a row of the table, and what a row says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.harness.clients import Client, Json, settle
from tests.harness.inbox import PATIENCE
from tests.harness.users import User, new_user
from tests.harness.world import World

ME, PEER, STRANGER = "the asker", "the other member", "a stranger"


@dataclass(slots=True)
class Cast:
    """Three connected users, and a chat of which the first two are members."""

    world: World
    mode: str
    me: Client
    peer: Client
    stranger: Client
    chat_id: str
    rooms: list[str] = field(default_factory=list)

    async def enter(self, *clients: Client) -> None:
        """Bring clients into the chat's room."""
        for client in clients:
            await client.join(self.chat_id)

    def everybody(self) -> dict[str, Client]:
        """All three by their part."""
        return {ME: self.me, PEER: self.peer, STRANGER: self.stranger}


async def cast_for(world: World, mode: str) -> Cast:
    """Three new users, all clients in that mode."""
    users = [new_user(name) for name in ("me", "peer", "stranger")]
    chat_id = await world.chat_of(users[0], users[1], name="The table", description="For rows")
    await world.rest.introduce(users[2])
    me, peer, stranger = await world.connect_all(*users, mode=mode)
    for client in (me, peer, stranger):
        for user in users:
            await client.inbox.until(partial(knows, client, user), PATIENCE, f"{user.username} to be told of")
    return Cast(world, mode, me, peer, stranger, chat_id)


def knows(client: Client, user: User) -> bool | None:
    """Whether a client has been told that a user is there; None until then: presence may take a moment."""
    there = [one["userId"] for told in client.seen("users:online") for one in told["users"]]
    there += [told["userId"] for told in client.seen("user:online")]
    return user.id in there or None


@dataclass(frozen=True, slots=True)
class Told:
    """An event that a request causes, and exactly who receives it, once each."""

    name: str
    to: tuple[str, ...]
    shape: Any


@dataclass(frozen=True, slots=True)
class Expected:
    """What to ask, the shape of the answer, and all that is told."""

    payload: Json
    answer: Any
    told: tuple[Told, ...] = ()
    silent: tuple[str, ...] = ()
    """Events that may come as well, from what had to be there first or where the document leaves it open."""


Prepare = Callable[[Cast], Awaitable[Expected]]


class Rows(dict[str, Prepare]):
    """Rows by the name of their request."""

    def __call__(self, event: str) -> Callable[[Prepare], Prepare]:
        """Keep the decorated function as the row of that request."""

        def keep(prepare: Prepare) -> Prepare:
            self[event] = prepare
            return prepare

        return keep


async def told_nothing_yet(cast: Cast) -> None:
    """Forget what the preparation caused, once it has reached everybody."""
    everybody = cast.everybody().values()
    await settle(*everybody)
    for client in everybody:
        client.forget()
