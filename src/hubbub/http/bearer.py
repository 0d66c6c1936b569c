"""Who asks: the bearer of the access token, as a dependency of the routes that want to know."""

from typing import Any, Final, TypeVar

from litestar import Request
from litestar.di import NamedDependency, Provide

from hubbub.chat.limits import Limits
from hubbub.chat.tokens import Identity, Tokens

T = TypeVar("T")

SCHEME: Final = "bearer "


def token_of(header: str | None) -> str | None:
    """The token in an `Authorization` header (RFC 6750, section 2.1); other schemes are none."""
    if header is None or header[: len(SCHEME)].lower() != SCHEME:
        return None
    return header[len(SCHEME) :].strip()


async def identify(
    request: Request[Any, Any, Any], tokens: NamedDependency[Tokens], limits: NamedDependency[Limits]
) -> Identity:
    """Return who asks. Raises `TokenRefused`, and `RequestError` beyond the request rate."""
    who = await tokens.identify(token_of(request.headers.get("authorization")), operator_too=True)
    await limits.request(who.user_id)
    return who


def given(part: T) -> Provide:
    """A dependency that is there already."""

    def provide() -> Any:
        return part

    return Provide(provide, sync_to_thread=False)
