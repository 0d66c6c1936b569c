"""The crowd of a run: users, chats, and clients of every kind, each behind a proxy of its own."""

from dataclasses import dataclass, field
from typing import Final

from tests.harness.users import User, new_user
from tests.lossless.arena import Arena
from tests.lossless.clients import Role, Way
from tests.lossless.links import Transport
from tests.lossless.npm_client import NpmSession
from tests.lossless.proxy import Proxy
from tests.lossless.raw_client import RawSession

RAW: Final[tuple[tuple[Transport, Way], ...]] = (
    ("websocket", Way.TOKEN),
    ("polling", Way.CLAIM),
    ("upgrade", Way.STATE),
    ("websocket", Way.CLAIM),
    ("polling", Way.STATE),
    ("upgrade", Way.TOKEN),
    ("websocket", Way.JOIN),
    ("websocket", Way.STATE),
)
"""The clients of the tests' own. The first two are one user's, the last one is the guest's."""

NPM: Final[dict[str, list[str] | None]] = {"npm default": None, "npm websocket": ["websocket"]}
"""The stock clients, by their transports."""


@dataclass(slots=True)
class Crowd:
    """Who is special in it."""

    guest: User = field(default_factory=lambda: new_user("guest"))
    proxies: list[Proxy] = field(default_factory=list)
    stranger: str = ""
    """A chat that nobody of the crowd is a member of."""
    guarded: str = ""
    """The chat that the guest is thrown out of."""


async def gather_crowd(arena: Arena, *, npm: bool) -> Crowd:
    """Make users and chats, and have clients run; stock ones too if `npm`."""
    crowd = Crowd()
    users = [new_user(way.name.lower()) for _, way in RAW[:-1]]
    users = [users[1], *users[1:], crowd.guest]
    stock = {name: new_user("npm") for name in NPM} if npm else {}
    members = [*dict.fromkeys(users), *stock.values()]
    arena.chats = [await arena.rest.chat(arena.owner, *members) for _ in range(2)]
    crowd.guarded = arena.chats[1]
    crowd.stranger = await arena.rest.chat(arena.owner)
    arena.closed_chats = [crowd.stranger]
    for number, (user, (transport, way)) in enumerate(zip(users, RAW, strict=True), 1):
        proxy = await arena.stage.proxy()
        crowd.proxies.append(proxy)
        role = Role(f"raw{number}", user, way, transport, arena.chats)
        arena.admit(RawSession(arena.desk, role, proxy.url, transport))
    for number, (name, user) in enumerate(stock.items(), 1):
        proxy = await arena.stage.proxy()
        crowd.proxies.append(proxy)
        role = Role(f"npm{number}", user, Way.STATE, name, arena.chats)
        arena.admit(NpmSession(arena.desk, role, proxy.url, arena.node, NPM[name]))
    return crowd
