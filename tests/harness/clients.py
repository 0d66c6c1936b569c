"""The one interface of all clients that the tests drive."""

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

from tests.harness.inbox import PATIENCE, Inbox
from tests.harness.users import User

Json: TypeAlias = dict[str, Any]

NAMESPACE = "/chat"


class RefusedError(Exception):
    """`connect_error`: the server's message and data."""

    def __init__(self, message: str, data: Any) -> None:
        super().__init__(message, data)
        self.message = message
        self.data = data


class Client(ABC):
    """One socket of one user."""

    def __init__(self, user: User, url: str) -> None:
        self.user = user
        self.url = url
        self.inbox = Inbox()
        self.sid = ""

    @abstractmethod
    async def connect(self, token: str | None = None, **options: Any) -> None:
        """Connect as this client's user, or with the token given; raises RefusedError.

        Options: `auth` (in place of `{token}`), `headers`, `namespace`, `query`.
        """

    @abstractmethod
    async def emit(self, event: str, *args: Any) -> None:
        """Send an event that asks for no answer."""

    @abstractmethod
    async def call(self, event: str, *args: Any, timeout: float = PATIENCE) -> list[Any]:
        """Send an event and return all arguments of its acknowledgement."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Leave for good; does nothing when already gone."""

    async def request(self, event: str, payload: Any = None, timeout: float = PATIENCE) -> Json:
        """The answer to a request; `payload` defaults to an empty object, as the document writes it."""
        args = await self.call(event, {} if payload is None else payload, timeout=timeout)
        assert len(args) == 1, f"{event} was acknowledged with {len(args)} arguments: {args}"
        answer = args[0]
        assert isinstance(answer, dict), f"{event} was answered {answer!r}"
        return answer

    async def done(self, event: str, payload: Any = None) -> Json:
        """The answer to a request that must succeed."""
        answer = await self.request(event, payload)
        assert answer.get("success") is True, f"{event} {payload} was answered {answer}"
        return answer

    async def refused(self, event: str, payload: Any = None) -> Json:
        """The answer to a request that must fail."""
        answer = await self.request(event, payload)
        assert answer.get("success") is False, f"{event} {payload} was answered {answer}"
        return answer

    async def join(self, chat_id: str) -> Json:
        """Enter the room of a chat; the answer's `roomInfo`."""
        info: Json = (await self.done("join:chat", {"chatId": chat_id}))["roomInfo"]
        return info

    async def say(self, chat_id: str, content: str, **fields: Any) -> Json:
        """Send a message; the answer's `sentMessage`."""
        payload = {"chatId": chat_id, "content": content, **fields}
        sent: Json = (await self.done("message:send", payload))["sentMessage"]
        return sent

    def seen(self, name: str) -> list[Any]:
        """The payloads of all events of that name so far."""
        return self.inbox.seen(name)

    def forget(self) -> None:
        """Forget the events so far."""
        self.inbox.forget()

    async def wait(self, name: str, timeout: float = PATIENCE, **fields: Any) -> Any:
        """The first event of that name whose payload has these fields."""

        def fits(payload: Any) -> bool:
            return all(payload.get(key) == value for key, value in fields.items())

        return await self.inbox.wait(name, fits, timeout)

    async def wait_disconnect(self, timeout: float = PATIENCE) -> str:
        """Wait until the client has been disconnected; the reason in the client's words."""
        return str(await self.inbox.wait("$disconnect", timeout=timeout))


async def settle(*clients: Client) -> None:
    """Return when all that earlier answered requests caused at once has reached these clients.

    An answer stands behind everything that was queued for its socket before, so a round trip of each client
    after the cause was answered is enough; the second covers what was told right behind an answer.
    """
    for _ in range(2):
        for client in clients:
            await client.request("connection:session-info")
