"""The crowd of a run: users, chats, and clients of every kind, each behind a proxy of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.harness.node_client import NodeHost
from tests.harness.rest import Rest
from tests.harness.users import User, new_user
from tests.lossless.clients import Desk, Role, Session, Way
from tests.lossless.history import History
from tests.lossless.links import Transport
from tests.lossless.npm_client import NpmSession
from tests.lossless.proxy import Proxy
from tests.lossless.raw_client import RawSession
from tests.lossless.stage import Stage

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
"""The clients of the tests' own. The last one is the guest's."""

NPM: Final[dict[str, list[str] | None]] = {"npm default": None, "npm websocket": ["websocket"]}
"""The stock clients, by their transports."""


@dataclass(slots=True)
class Crowd:
    """Everybody who takes part."""

    owner: User = field(default_factory=lambda: new_user("owner"))
    guest: User = field(default_factory=lambda: new_user("guest"))
    proxies: list[Proxy] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    chats: list[str] = field(default_factory=list)
    stranger: str = ""
    """A chat that nobody of the crowd is a member of."""

    @property
    def guarded(self) -> str:
        """The chat that the guest is thrown out of."""
        return self.chats[1]


async def gather_crowd(stage: Stage, rest: Rest, history: History, node: NodeHost | None) -> Crowd:
    """Make users and chats, and clients that have not connected yet; stock ones too if there is a `node`."""
    crowd = Crowd()
    users = [new_user(way.name.lower()) for _, way in RAW[:-1]]
    # One user with two clients.
    users[1] = users[0]
    kinds: list[tuple[User, Way, Transport, list[str] | None]] = [
        (user, way, transport, None)
        for user, (transport, way) in zip([*users, crowd.guest], RAW, strict=True)
    ]
    stock = NPM if node is not None else {}
    stock_users = {name: new_user("npm") for name in stock}
    members = [*dict.fromkeys(users), crowd.guest, *stock_users.values()]
    crowd.chats = [await rest.chat(crowd.owner, *members) for _ in range(2)]
    crowd.stranger = await rest.chat(crowd.owner)
    desk = Desk(history, rest)
    for number, (user, way, transport, _) in enumerate(kinds, 1):
        proxy = await stage.proxy()
        role = Role(f"raw{number}", user, way, transport, crowd.chats)
        crowd.proxies.append(proxy)
        crowd.sessions.append(RawSession(desk, role, proxy.url, transport))
    for number, (name, user) in enumerate(stock_users.items(), 1):
        assert node is not None
        proxy = await stage.proxy()
        role = Role(f"npm{number}", user, Way.STATE, name, crowd.chats)
        crowd.proxies.append(proxy)
        crowd.sessions.append(NpmSession(desk, role, proxy.url, node, NPM[name]))
    return crowd


@asynccontextmanager
async def present(sessions: Sequence[Session]) -> AsyncIterator[None]:
    """Have the clients run; one that fails by a bug of its own ends everything."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(session.run()) for session in sessions]
        yield
        for task in tasks:
            task.cancel()
