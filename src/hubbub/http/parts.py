"""What the HTTP API is made of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hubbub.chat.accounts import Accounts
from hubbub.chat.chats import Chats
from hubbub.chat.limits import Limits
from hubbub.chat.overview import Overview
from hubbub.chat.tokens import Tokens
from hubbub.http.asgi import Scope
from hubbub.http.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpParts:
    """The chat's parts that routes call, and what the composition root knows.

    `problems` tells why the server is not ready, nothing when it is; it must not raise. `address_of` and
    `origin_allowed` judge a request's scope by the same rules as the socket's front door.
    """

    tokens: Tokens
    accounts: Accounts
    chats: Chats
    limits: Limits
    overview: Overview
    metrics: Metrics
    problems: Callable[[], Awaitable[list[str]]]
    address_of: Callable[[Scope], str]
    origin_allowed: Callable[[Scope], bool]
