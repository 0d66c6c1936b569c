"""The operator's desk: commands about users and chats go through the HTTP API, wherever that is.

    the database is free   -> the whole server in this process, without a port, as long as the command runs
    a server has it open   -> that server, at the address it noted beside the database

Either way there is one writer, one set of rules, and the sockets of a running server are told of every
change. The operator signs a token that is good for a minute with the server's own secret, which only its
owner can read. See docs/decisions/0003.
"""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import httpx
import msgspec

from hubbub.app import StartError, address
from hubbub.app.build import build
from hubbub.app.chat_parts import make_signatures
from hubbub.app.database import database_path, is_shared
from hubbub.chat.signatures import Signatures
from hubbub.chat.tokens import OPERATOR, issue
from hubbub.cli.flags import Failed
from hubbub.contract import rest
from hubbub.contract.errors import Failure
from hubbub.contract.values import Role, now
from hubbub.settings import Settings, made_secret
from hubbub.store import records

T = TypeVar("T")

TOKEN_LIFE: Final = 60.0
TIMEOUT: Final = 30.0
BASE: Final = "/api/v1"


class NotFound(Failed):
    """There is no such thing."""


class Desk:
    """The HTTP API as the operator uses it. Failures raise `Failed`, one line each."""

    def __init__(self, http: httpx.AsyncClient, signatures: Signatures) -> None:
        self._http = http
        self._signatures = signatures
        self._operator = records.User(
            id=OPERATOR, username=OPERATOR, email=None, role=Role.ADMIN, active=True, created_at=0
        )

    async def get(self, path: str, answer: type[T], **params: str | int) -> T:
        """Ask for something."""
        return read(await self._ask(self._request("GET", path, params=params)), answer)

    async def post(
        self, path: str, body: dict[str, Any], answer: type[T], acting: rest.User | None = None
    ) -> T:
        """Have something made, in the name of a user when `acting` is given."""
        request = self._request("POST", path, json=body)
        return read(await self._ask(request, acting), answer)

    async def patch(self, path: str, body: dict[str, Any], answer: type[T]) -> T:
        """Have something changed."""
        return read(await self._ask(self._request("PATCH", path, json=body)), answer)

    async def delete(self, path: str) -> None:
        """Have something removed."""
        await self._ask(self._request("DELETE", path))

    async def user(self, login: str) -> rest.UserDetails:
        """Return the user of that name, address or id."""
        try:
            return (await self.get("/users", rest.UserList, login=login)).users[0]
        except Failed as failure:
            raise Failed(f"{login}: {failure}") from None

    async def find_named(self, name: str) -> rest.UserDetails | None:
        """Return the stored user of that very name; None when there is none."""
        try:
            found = (await self.get("/users", rest.UserList, login=name)).users[0]
        except NotFound:
            return None
        return found if found.username.casefold() == name.casefold() else None

    def _request(self, method: str, path: str, **content: Any) -> httpx.Request:
        return self._http.build_request(method, BASE + path, **content)

    async def _ask(self, request: httpx.Request, acting: rest.User | None = None) -> bytes:
        """Return the content of a successful answer."""
        request.headers["Authorization"] = f"Bearer {self._token(acting)}"
        try:
            response = await self._http.send(request)
        except httpx.HTTPError as error:
            raise Failed(f"the server at {self._http.base_url} does not answer: {error}") from None
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(in_words(response))
        if not response.is_success:
            raise Failed(in_words(response))
        return response.content

    def _token(self, acting: rest.User | None) -> str:
        user = self._operator if acting is None else as_record(acting)
        return issue(self._signatures, user, TOKEN_LIFE, now())[0]


def as_record(user: rest.User) -> records.User:
    """A user as tokens are issued for."""
    return records.User(
        id=user.id, username=user.username, email=user.email, role=user.role, active=True, created_at=0
    )


def read(content: bytes, answer: type[T]) -> T:
    """The content of an answer."""
    try:
        return msgspec.json.decode(content, type=answer)
    except msgspec.MsgspecError:
        raise Failed("what answers at the server's address is no hubbub server of this version") from None


def in_words(response: httpx.Response) -> str:
    """A failure as one line."""
    try:
        failure = msgspec.json.decode(response.content, type=Failure)
    except msgspec.MsgspecError:
        return f"the server answers {response.status_code}, which is not hubbub's way"
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return "the running server does not accept this secret: give the same settings as to the server"
    problems = "; ".join(f"{one.field} {one.problem}" for one in failure.details or ())
    return problems or failure.message


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Sit down at the desk: of the server that runs, or else of one in this process.

    Raises `StartError` when neither can be had, `Failed` when there is no database.
    """
    require_database(settings)
    try:
        # Nobody else sees tokens of a server without a port, so any secret will do.
        private = dataclasses.replace(
            settings,
            jwt_algorithms=("HS256",),
            jwt_secret=secrets.token_urlsafe(48),
            jwt_public_key=None,
            jwt_jwks_url=None,
        )
        built = await build(private)
    except StartError as error:
        async with running_server(settings, error) as desk:
            yield desk
        return
    try:
        transport = httpx.ASGITransport(built.web)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield Desk(http, make_signatures(private))
    finally:
        await built.close()


@asynccontextmanager
async def running_server(settings: Settings, why: StartError) -> AsyncIterator[Desk]:
    """Sit down at the desk of the server that has the database open. Raises `why` when there is none."""
    url = address.read(settings)
    if url is None:
        raise why
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT, trust_env=False) as http:
        try:
            await http.get("/health/live")
        except httpx.HTTPError:
            raise why from None
        if not can_sign(settings):
            raise Failed("the running server only accepts tokens of somebody else: stop it for this command")
        yield Desk(http, shared_signatures(settings))


def require_database(settings: Settings) -> None:
    """Raise `Failed` when the database is not there: only `hubbub serve` makes one, at its first start.

    A command that made one, or its folder, would hide that it was given another folder than the server's.
    """
    path = database_path(settings)
    if not (is_shared(settings) or path.exists()):
        raise Failed(
            f"there is no database at {path}: give the server's --data-dir, or run `hubbub serve` once"
        )


def can_sign(settings: Settings) -> bool:
    """Whether the server makes tokens, or only accepts those of somebody else."""
    return any(name.startswith("HS") for name in settings.jwt_algorithms)


def shared_signatures(settings: Settings) -> Signatures:
    """What signs with the server's secret. Raises `Failed` when there is none: a new one opens nothing."""
    if settings.jwt_secret is None and made_secret(settings) is None:
        raise Failed(
            f"there is no secret in {settings.data_dir}: give the server's --data-dir or HUBBUB_JWT_SECRET, "
            "or run `hubbub serve` once, which makes one"
        )
    return make_signatures(settings)


def at_desk(settings: Settings, work: Callable[[Desk], Awaitable[T]]) -> T:
    """Do something at the desk and return what came of it."""

    async def run() -> T:
        async with open_desk(settings) as desk:
            return await work(desk)

    return asyncio.run(run())
