"""An HTTP API over a real store, with users made on the way, and the tellings of its bus kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher

from hubbub.chat.accounts import AccountRules, Accounts, Attempts
from hubbub.chat.chats import Chats
from hubbub.chat.limits import Limits, Rates
from hubbub.chat.monitoring import Monitoring
from hubbub.chat.passwords import Passwords
from hubbub.chat.signatures import Signatures, TokenRules
from hubbub.chat.tokens import Tokens
from hubbub.chat.wire import room_info
from hubbub.cluster.base import CutOff, Expel, Telling, ToRoom
from hubbub.cluster.local import LocalBus, LocalLimiter
from hubbub.contract import events
from hubbub.contract.values import new_id, now
from hubbub.http import HttpParts, Metrics, make_http
from hubbub.settings import Rate
from hubbub.store import records
from hubbub.store.sqlite import SqliteStore
from tests.chat.overviews import overview_of

SECRET = "s" * 40
PER_NAME = Rate(10, 300.0)
PER_ADDRESS = Rate(30, 300.0)
ALLOWED = "https://chat.example.com"


class Site:
    """Everything there is, and requests to it. `problems` is what readiness finds wrong."""

    def __init__(
        self,
        store: SqliteStore,
        *,
        request_rate: Rate | None = None,
        account_rules: AccountRules | None = None,
        **rules: Any,
    ) -> None:
        self.store = store
        self.bus = LocalBus()
        self.told: list[Telling] = []
        self.bus.subscribe(self.told.append)
        self.limiter = LocalLimiter()
        self.tokens = Tokens(Signatures(TokenRules(**{"secret": SECRET, **rules})), store, self.bus)
        self.passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        attempts = Attempts(self.limiter, name=PER_NAME, address=PER_ADDRESS)
        self.accounts = Accounts(
            store, self.tokens, self.passwords, self.bus, attempts, account_rules or AccountRules()
        )
        self.chats = Chats(store, self.bus, self.tell_info)
        self.metrics = Metrics()
        self.monitoring = Monitoring()
        self.problems: list[str] = []
        self.address = "192.0.2.1"
        rates = Rates(connection=None, connection_block=0, message=None, typing=None, request=request_rate)
        self.app = make_http(
            HttpParts(
                tokens=self.tokens,
                accounts=self.accounts,
                chats=self.chats,
                limits=Limits(self.limiter, rates),
                overview=overview_of(self.monitoring),
                metrics=self.metrics,
                problems=self.find_problems,
                address_of=lambda _: self.address,
                origin_allowed=lambda scope: dict(scope["headers"])[b"origin"] == ALLOWED.encode(),
            )
        )
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def find_problems(self) -> list[str]:
        return self.problems

    async def tell_info(self, chat: records.Chat) -> None:
        info = events.RoomInfoChanged(chat_id=chat.id, room_info=room_info(chat, 0), timestamp="")
        self.bus.publish(ToRoom(chat_id=chat.id, event=info))

    def take_told(self) -> list[Telling]:
        """What was told since the last call."""
        told = list(self.told)
        self.told.clear()
        return told

    def take_kinds(self) -> list[str]:
        """What was told since the last call, in short."""
        return [kind(telling) for telling in self.take_told()]

    async def user(self, name: str, role: str = "user") -> "Caller":
        """A stored user, who can ask."""
        user = records.User(id=new_id(), username=name, email=None, role=role, active=True, created_at=now())
        await self.store.create_user(user, None)
        return Caller(self, user.id, self.tokens.issue(user, 3600)[0])

    def nobody(self) -> "Caller":
        """Somebody without a token."""
        return Caller(self, "", "")


def kind(telling: Telling) -> str:
    """A telling in short."""
    match telling:
        case ToRoom():
            return telling.event.event
        case Expel():
            return f"expel {telling.user_id}"
        case CutOff():
            return f"cut off {telling.user_id}"
        case _:
            return type(telling).__name__


class Caller:
    """Asks as one user."""

    def __init__(self, site: Site, user_id: str, token: str) -> None:
        self.site = site
        self.id = user_id
        self.token = token

    async def ask(self, method: str, path: str, body: object = None, **options: Any) -> httpx.Response:
        """The answer to a request, whatever it is."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})
        if body is not None:
            options["json"] = body
        return await self.site.http.request(method, f"/api/v1{path}", headers=headers, **options)

    async def done(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """The content of an answer that must be a success."""
        response = await self.ask(method, path, body, **options)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    async def refused(
        self, status: int, code: str, method: str, path: str, body: object = None, **options: Any
    ) -> dict[str, Any]:
        """The failure that a request must be answered with."""
        response = await self.ask(method, path, body, **options)
        assert (response.status_code, response.json().get("code")) == (status, code), response.text
        failure: dict[str, Any] = response.json()
        assert failure["success"] is False
        return failure

    async def chat(self, *members: "Caller", **fields: Any) -> str:
        """A new chat with these members; its id."""
        body = {"name": "A chat", "participants": [member.id for member in members], **fields}
        return str((await self.done("POST", "/chats", body))["id"])

    async def add(self, chat_id: str, user: "Caller", role: str | None = None) -> Any:
        """Make somebody a member."""
        body = {"userId": user.id} | ({"role": role} if role else {})
        return await self.done("POST", f"/chats/{chat_id}/participants", body)

    async def say(self, chat_id: str, text: str) -> None:
        """Append a message."""
        await self.site.store.append(
            records.NewMessage(
                id=new_id(),
                chat_id=chat_id,
                user_id=self.id,
                username="x",
                content=text,
                type="text",
                client_message_id=None,
                created_at=now(),
            )
        )


empty: list[bytes] = []
"""The file of an empty database, once there was one: copying it is faster than making another."""


async def open_store(path: Path) -> SqliteStore:
    """An empty store."""
    if not empty:
        await (await SqliteStore.open(path)).close()
        empty.append(await asyncio.to_thread(path.read_bytes))
    else:
        await asyncio.to_thread(path.write_bytes, empty[0])
    return await SqliteStore.open(path)


@asynccontextmanager
async def open_site(folder: Path, **options: Any) -> AsyncIterator[Site]:
    """An API with an empty store in a folder."""
    store = await open_store(folder / "hubbub.db")
    site = Site(store, **options)
    try:
        yield site
    finally:
        await site.http.aclose()
        site.passwords.close()
        await store.close()
