"""Accounts over HTTP: registering, logging in, refreshing, and what admins do."""

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from argon2 import PasswordHasher

from hubbub.chat.accounts import AccountRules, Accounts, Attempts
from hubbub.contract import rest
from hubbub.store import records
from tests.http.site import PER_ADDRESS, PER_NAME, Site, open_site

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ANN = {"username": "ann", "password": "correct horse", "email": "Ann@Example.com"}


async def test_registering_logs_in(site: Site) -> None:
    """A registered user has tokens at once, and both the access token and the password work from then on."""
    response = await site.nobody().ask("POST", "/auth/register", ANN)
    assert response.status_code == 201
    body = response.json()
    assert body.keys() == {"user", "accessToken", "refreshToken", "expiresAt"}
    assert body["user"].keys() == {"id", "username", "email", "role", "createdAt"}
    assert (body["user"]["username"], body["user"]["role"]) == ("ann", "user")
    assert ISO.fullmatch(body["expiresAt"])
    assert ISO.fullmatch(body["user"]["createdAt"])
    who = await site.tokens.identify(body["accessToken"])
    assert who.user_id == body["user"]["id"]
    me = await site.nobody().done(
        "GET", "/auth/me", headers={"Authorization": f"bearer {body['accessToken']}"}
    )
    assert me == {"user": body["user"], "expiresAt": body["expiresAt"]}


@pytest.mark.parametrize("login", ["ann", "ANN", "ann@example.com", "Ann@Example.com"])
async def test_logging_in(site: Site, login: str) -> None:
    """Name and address both do, in any letter case."""
    await site.nobody().done("POST", "/auth/register", ANN)
    response = await site.nobody().ask(
        "POST", "/auth/login", {"username": login, "password": ANN["password"]}
    )
    assert response.status_code == 200
    assert response.json()["user"]["username"] == "ann"


async def test_wrong_password_and_unknown_name_are_told_the_same(site: Site) -> None:
    """Nothing tells a guesser whether there is such a user."""
    await site.nobody().done("POST", "/auth/register", ANN)
    await site.user("bob")  # of a foreign token: without a password
    answers = [
        await site.nobody().refused(401, "UNAUTHENTICATED", "POST", "/auth/login", body)
        for body in (
            {"username": "ann", "password": "incorrect horse"},
            {"username": "ann", "password": ""},
            {"username": "nobody", "password": ANN["password"]},
            {"username": "bob", "password": ""},
        )
    ]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["message"] == "Invalid username or password"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "ab"}, "username"),
        ({"username": "a" * 33}, "username"),
        ({"username": "an n"}, "username"),
        ({"username": "ann\n"}, "username"),
        ({"username": "ann@example.com"}, "username"),
        ({"username": 5}, "username"),
        ({"username": None}, "username"),
        ({"password": "7 chars"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"password": ["correct horse"]}, "password"),
        ({"email": "ann"}, "email"),
        ({"email": "@"}, "email"),
        ({"email": "a b@c.de"}, "email"),
        ({"email": "a@b@c.de"}, "email"),
        ({"email": "a" * 250 + "@c.de"}, "email"),
        ({"email": "a@b.cd\n"}, "email"),
    ],
)
async def test_what_cannot_be_registered(site: Site, change: dict[str, Any], field: str) -> None:
    """The refusal names the field by its name on the wire."""
    failure = await site.nobody().refused(400, "INVALID_REQUEST", "POST", "/auth/register", {**ANN, **change})
    assert failure["message"] == "Invalid request data"
    assert [problem["field"] for problem in failure["details"]] == [field]
    assert "regex" not in failure["details"][0]["problem"]
    assert await site.store.count_users() == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**ANN, "username": "ANN", "email": None}, "Username is already taken"),
        ({**ANN, "username": "anne", "email": "ann@example.com"}, "E-mail address is already taken"),
    ],
)
async def test_names_are_taken_once(site: Site, body: dict[str, Any], message: str) -> None:
    """Names and addresses differ by more than letter case."""
    await site.nobody().done("POST", "/auth/register", ANN)
    failure = await site.nobody().refused(409, "CONFLICT", "POST", "/auth/register", body)
    assert failure["message"] == message


async def test_a_refresh_token_works_once(site: Site) -> None:
    """Each use gives the next token; a used one, even at the same moment, gives nothing."""
    first = (await site.nobody().done("POST", "/auth/register", ANN))["refreshToken"]
    answers = await asyncio.gather(
        *(site.nobody().ask("POST", "/auth/refresh", {"refreshToken": first}) for _ in range(5))
    )
    good = [answer for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert all(answer.json()["code"] == "UNAUTHENTICATED" for answer in answers if answer not in good)
    second = good[0].json()["refreshToken"]
    assert second != first
    await site.nobody().done("POST", "/auth/refresh", {"refreshToken": second})
    for wrong in ("x", first[:-1] + "A", "\u00e4"):
        await site.nobody().refused(401, "UNAUTHENTICATED", "POST", "/auth/refresh", {"refreshToken": wrong})


async def test_refresh_tokens_expire_and_are_stored_hashed(site: Site, tmp_path: Path) -> None:
    """The database never holds what opens a door; an expired token opens none."""
    rules = AccountRules(refresh_ttl=-1)
    attempts = Attempts(site.limiter, name=None, address=None)
    expired = Accounts(site.store, site.tokens, site.passwords, site.bus, attempts, rules)
    site.accounts = expired
    token = (await site.nobody().done("POST", "/auth/register", ANN))["refreshToken"]
    stored = content(tmp_path)
    assert token.encode() not in stored
    assert str(ANN["password"]).encode() not in stored
    late = await expired.register(rest.Register(username="bob", password="correct horse"), "x")
    await site.nobody().refused(
        401, "UNAUTHENTICATED", "POST", "/auth/refresh", {"refreshToken": late.refresh_token}
    )


async def test_attempts_are_limited_by_name_and_by_address(site: Site) -> None:
    """Ten guesses at one user, thirty by one address; then there is a time to wait, for right ones too."""
    await site.nobody().done("POST", "/auth/register", ANN)
    wrong = {"username": "Ann", "password": "incorrect horse"}
    for number in range(PER_NAME.count):
        site.address = f"192.0.2.{number}"
        await site.nobody().refused(401, "UNAUTHENTICATED", "POST", "/auth/login", wrong)
    site.address = "192.0.2.200"
    response = await site.nobody().ask("POST", "/auth/login", {**ANN, "username": "ann"})
    assert response.status_code == 429
    assert response.json()["code"] == "RATE_LIMITED"
    assert response.headers["retry-after"] == str(response.json()["retryAfter"])
    assert 0 < response.json()["retryAfter"] <= PER_NAME.seconds
    for number in range(PER_ADDRESS.count - 1):
        body = {"username": f"nobody-{number}", "password": "x"}
        await site.nobody().refused(401, "UNAUTHENTICATED", "POST", "/auth/login", body)
    failure = await site.nobody().refused(429, "RATE_LIMITED", "POST", "/auth/login", wrong)
    assert failure["message"] == "Too many login attempts. Please try again later."
    body = {"username": "carol", "password": "correct horse"}
    failure = await site.nobody().refused(429, "RATE_LIMITED", "POST", "/auth/register", body)
    assert failure["message"] == "Too many registrations. Please try again later."


async def test_registration_can_be_closed(tmp_path: Path) -> None:
    """Then strangers are told so, whoever has an account logs in, and admins make users as ever."""
    async with open_site(tmp_path, account_rules=AccountRules(open_registration=False)) as site:
        failure = await site.nobody().refused(403, "FORBIDDEN", "POST", "/auth/register", ANN)
        assert failure["message"] == "Registration is closed on this server"
        admin = await site.user("root", "admin")
        await admin.done("POST", "/users", ANN)
        login = {"username": "ann", "password": ANN["password"]}
        await site.nobody().done("POST", "/auth/login", login)


async def test_nobody_registers_under_the_name_of_another(site: Site) -> None:
    """The names of users of foreign tokens are taken, too, in any letter case."""
    await site.store.ensure_user(foreign_user("demo"))
    for name in ("demo", "Demo"):
        body = {"username": name, "password": "correct horse"}
        failure = await site.nobody().refused(409, "CONFLICT", "POST", "/auth/register", body)
        assert failure["message"] == "Username is already taken"
    await site.nobody().done("POST", "/auth/register", {"username": "demo2", "password": "correct horse"})


async def test_a_switched_off_user_is_out(site: Site) -> None:
    """Tokens and the password stop working at once, and sockets are told; until switched on again."""
    admin = await site.user("root", "admin")
    body = await site.nobody().done("POST", "/auth/register", ANN)
    user = f"/users/{body['user']['id']}"
    bearer = {"headers": {"Authorization": f"Bearer {body['accessToken']}"}}
    await site.nobody().done("GET", "/auth/me", **bearer)
    site.take_told()
    assert (await admin.done("PATCH", user, {"active": False}))["active"] is False
    assert site.take_kinds() == [f"cut off {body['user']['id']}"]
    failure = await site.nobody().refused(401, "UNAUTHENTICATED", "GET", "/auth/me", **bearer)
    assert failure["details"] == [{"field": "Authorization", "problem": "the user is switched off"}]
    login = {"username": "ann", "password": ANN["password"]}
    await site.nobody().refused(403, "FORBIDDEN", "POST", "/auth/login", login)
    wrong = {"username": "ann", "password": "incorrect horse"}
    await site.nobody().refused(401, "UNAUTHENTICATED", "POST", "/auth/login", wrong)
    refresh = {"refreshToken": body["refreshToken"]}
    await site.nobody().refused(401, "UNAUTHENTICATED", "POST", "/auth/refresh", refresh)
    await admin.done("PATCH", user, {"active": True})
    await site.nobody().done("GET", "/auth/me", **bearer)
    await site.nobody().done("POST", "/auth/login", login)


async def test_admins_make_find_and_change_users(site: Site) -> None:
    """What the command line needs: users by page, by name, by address, by id."""
    admin = await site.user("root", "admin")
    made = await admin.done("POST", "/users", {**ANN, "role": "moderator"})
    assert made["role"] == "moderator"
    for login in ("ann", "ann@example.com", made["id"]):
        assert (await admin.done("GET", "/users", params={"login": login}))["users"] == [made]
    await admin.refused(404, "NOT_FOUND", "GET", "/users", params={"login": "nobody"})
    foreign = await site.user("zoe")
    for name in ("bob", "carol"):
        await admin.done("POST", "/users", {"username": name, "password": "correct horse"})
    names, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await admin.done("GET", "/users", params=params)
        names += [user["username"] for user in page["users"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert names == ["ann", "bob", "carol", "root", "zoe"]
    before = await site.nobody().done("POST", "/auth/login", {"username": "ann", "password": ANN["password"]})
    await admin.done("PATCH", f"/users/{made['id']}", {"password": "battery staple"})
    await site.nobody().done("POST", "/auth/login", {"username": "ann", "password": "battery staple"})
    refresh = {"refreshToken": before["refreshToken"]}
    await site.nobody().refused(401, "UNAUTHENTICATED", "POST", "/auth/refresh", refresh)
    await admin.refused(404, "NOT_FOUND", "PATCH", "/users/nobody", {"active": False})
    for method, path, body in (
        ("GET", "/users", None),
        ("POST", "/users", {"username": "mallory", "password": "correct horse"}),
        ("PATCH", f"/users/{foreign.id}", {"active": True}),
    ):
        await foreign.refused(403, "FORBIDDEN", method, path, body)
        await site.nobody().refused(401, "UNAUTHENTICATED", method, path, body)


async def test_a_user_id_may_have_a_slash(site: Site) -> None:
    """Foreign ids are any printable text."""
    admin = await site.user("root", "admin")
    token = site.tokens.issue((await site.store.ensure_user(foreign_user("tenant/7"))), 60)[0]
    await site.tokens.identify(token)
    changed = await admin.done("PATCH", "/users/tenant/7", {"active": False})
    assert (changed["id"], changed["active"]) == ("tenant/7", False)
    for user_id in ("tenant//7", "/tenant/7"):
        await site.store.ensure_user(foreign_user(user_id))
        changed = await admin.done("PATCH", f"/users/{quote(user_id, safe='')}", {"active": False})
        assert changed["id"] == user_id


def content(folder: Path) -> bytes:
    """All that the database has on disk."""
    return b"".join(path.read_bytes() for path in folder.glob("hubbub.db*"))


def foreign_user(user_id: str) -> Any:
    """A user of a foreign token."""
    return records.User(id=user_id, username=user_id, email=None, role="user", active=True, created_at=1)


async def test_an_old_hash_is_renewed(site: Site) -> None:
    """A password stored by weaker parameters is stored anew at its next login."""
    await site.nobody().done("POST", "/auth/register", ANN)
    found = await site.store.credentials("ann")
    assert found is not None
    weak = PasswordHasher(time_cost=1, memory_cost=32, parallelism=1).hash(str(ANN["password"]))
    await site.store.set_password(found.user.id, weak)
    await site.nobody().done("POST", "/auth/login", {"username": "ann", "password": ANN["password"]})
    renewed = await site.store.credentials("ann")
    assert renewed is not None
    assert renewed.password_hash is not None
    assert "m=64" in renewed.password_hash


async def test_without_a_secret_there_are_no_accounts(tmp_path: Path) -> None:
    """A server that only takes tokens of somebody else says so."""
    async with open_site(tmp_path, secret=None) as site:
        for path, body in (
            ("/auth/register", ANN),
            ("/auth/login", {"username": "ann", "password": "correct horse"}),
            ("/auth/refresh", {"refreshToken": "x"}),
        ):
            await site.nobody().refused(403, "FORBIDDEN", "POST", path, body)
