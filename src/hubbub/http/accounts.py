"""Routes of accounts: registering, logging in, and what admins do with users."""

from typing import Any

from litestar import Request, Router, get, patch, post
from litestar.openapi.spec import SecurityRequirement
from litestar.params import JSONBody

from hubbub.chat.access import check_server_admin
from hubbub.contract import rest
from hubbub.contract.values import iso
from hubbub.http.bodies import Body
from hubbub.http.failures import documented
from hubbub.http.places import AccountsPart, Address, Cursor, Limit, LoginName, UserId, Who, named_user

OPEN: list[SecurityRequirement] = [{}]


@post(
    "/register",
    summary="Register a user and log in",
    dto=Body[rest.Register],
    responses=documented(400, 403, 409, 429),
    security=OPEN,
)
async def register(data: JSONBody[rest.Register], accounts: AccountsPart, address: Address) -> rest.LoggedIn:
    """Answer with tokens of a new user."""
    return await accounts.register(data, address)


@post(
    "/login",
    summary="Log in by name or e-mail address",
    dto=Body[rest.LogIn],
    status_code=200,
    responses=documented(400, 401, 403, 429),
    security=OPEN,
)
async def log_in(data: JSONBody[rest.LogIn], accounts: AccountsPart, address: Address) -> rest.LoggedIn:
    """Answer with tokens of a user."""
    return await accounts.log_in(data, address)


@post(
    "/refresh",
    summary="Use up a refresh token for new tokens",
    dto=Body[rest.Refresh],
    status_code=200,
    responses=documented(400, 401, 403),
    security=OPEN,
)
async def refresh(data: JSONBody[rest.Refresh], accounts: AccountsPart) -> rest.LoggedIn:
    """Answer with the next tokens."""
    return await accounts.refresh(data)


@get("/me", summary="Who bears the token", responses=documented(401, 429))
async def me(who: Who, accounts: AccountsPart) -> rest.Me:
    """Answer with the bearer, whose role is the token's."""
    stored = await accounts.user(who.user_id)
    user = rest.User(
        id=stored.id,
        username=who.username,
        email=who.email,
        role=who.role,
        created_at=stored.created_at,
    )
    return rest.Me(user=user, expires_at=iso(who.expires_at))


@get(
    "/",
    summary="List users, or find one by name, e-mail address or id (admins)",
    responses=documented(400, 401, 403, 404),
)
async def list_users(
    who: Who,
    accounts: AccountsPart,
    cursor: Cursor = None,
    limit: Limit = 50,
    login: LoginName = None,
) -> rest.UserList:
    """Answer with a page of users."""
    check_server_admin(who)
    if login is None:
        return await accounts.page(cursor, limit)
    return rest.UserList(users=[await accounts.find(login)], next_cursor=None)


@post("/", summary="Make a user (admins)", dto=Body[rest.NewUser], responses=documented(400, 401, 403, 409))
async def add_user(data: JSONBody[rest.NewUser], who: Who, accounts: AccountsPart) -> rest.UserDetails:
    """Answer with the new user."""
    check_server_admin(who)
    return await accounts.add(data, data.role)


@patch(
    "/{user_id:path}",
    summary="Switch a user off or on, or replace the password (admins)",
    dto=Body[rest.UserChange],
    responses=documented(400, 401, 403, 404, 409),
)
async def change_user(
    data: JSONBody[rest.UserChange],
    who: Who,
    accounts: AccountsPart,
    user_id: UserId,  # noqa: ARG001 - for the OpenAPI document; `named_user` reads it exactly
    request: Request[Any, Any, Any],
) -> rest.UserDetails:
    """Answer with the changed user."""
    check_server_admin(who)
    return await accounts.change(named_user(request, "/users/"), data)


auth = Router("/auth", route_handlers=[register, log_in, refresh, me], tags=["Accounts"])
users = Router("/users", route_handlers=[list_users, add_user, change_user], tags=["Users"])
