"""Chats and members over HTTP, as an application's back end would make them."""

from typing import Any

import aiohttp

from tests.harness.clients import Json
from tests.harness.users import User

BASE = "/api/v1"


class Rest:
    """The HTTP API of one server. `close` it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = aiohttp.ClientSession()
        self._known: set[str] = set()

    async def ask(
        self, user: User | None, method: str, path: str, body: Json | None = None
    ) -> tuple[int, Any]:
        """The status and the JSON body of one request."""
        headers = {} if user is None else {"Authorization": f"Bearer {user.token()}"}
        url = self._url + BASE + path
        async with self._http.request(method, url, json=body, headers=headers) as response:
            text = await response.text()
            return response.status, (await response.json() if text else None)

    async def done(self, user: User, method: str, path: str, body: Json | None = None) -> Any:
        """The body of a request that must succeed."""
        status, answer = await self.ask(user, method, path, body)
        assert status < 300, f"{method} {path} {body} was answered {status} {answer}"
        return answer

    async def introduce(self, *users: User) -> None:
        """Make users known to the server, as their first request does."""
        for user in users:
            if user.id not in self._known:
                await self.done(user, "GET", "/chats")
                self._known.add(user.id)

    async def chat(self, owner: User, *members: User, **fields: Any) -> str:
        """A new chat of these members; its id."""
        await self.introduce(owner, *members)
        body = {"name": "A chat", "participants": [member.id for member in members], **fields}
        return str((await self.done(owner, "POST", "/chats", body))["id"])

    async def add(self, owner: User, chat_id: str, user: User) -> None:
        """Make a user a member."""
        await self.introduce(user)
        await self.done(owner, "POST", f"/chats/{chat_id}/participants", {"userId": user.id})

    async def remove(self, owner: User, chat_id: str, user: User) -> None:
        """End a membership."""
        await self.done(owner, "DELETE", f"/chats/{chat_id}/participants/{user.id}")

    async def change(self, owner: User, chat_id: str, **fields: Any) -> None:
        """Change `name`, `description` or `archived`."""
        await self.done(owner, "PATCH", f"/chats/{chat_id}", fields)

    async def history(self, user: User, chat_id: str, query: str = "?limit=200") -> list[Json]:
        """Messages by `seq`."""
        messages: list[Json] = (await self.done(user, "GET", f"/chats/{chat_id}/messages{query}"))["messages"]
        return messages

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.close()
