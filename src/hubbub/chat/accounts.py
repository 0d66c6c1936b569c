"""Accounts: users who register here, log in with a password and are switched off and on.

    login -> attempt counted -> password judged off the loop -> access token + refresh token

A refresh token is random, stored as its hash and good for one use, which gives the next one.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET

from hubbub.chat import paging
from hubbub.chat.limits import Rate
from hubbub.chat.passwords import Passwords
from hubbub.chat.tokens import Tokens
from hubbub.cluster.base import Bus, CutOff, Limiter
from hubbub.contract import errors, rest
from hubbub.contract.errors import Code, RequestError
from hubbub.contract.values import Role, iso, new_id, now
from hubbub.store import records
from hubbub.store.base import Conflict, Users

TAKEN: Final = {"username": "Username is already taken", "email": "E-mail address is already taken"}


@dataclass(frozen=True, slots=True)
class AccountRules:
    """Lives of tokens in seconds; whether anybody may register."""

    access_ttl: float = 3600.0
    refresh_ttl: float = 30 * 86_400.0
    open_registration: bool = True


class Attempts:
    """Counts attempts at passwords and registrations. A rate of None is no limit.

    `name` is for attempts at one user's password, `address` for what one address tries of both. One too many
    raises `RequestError` (RATE_LIMITED).
    """

    def __init__(self, limiter: Limiter, *, name: Rate | None, address: Rate | None) -> None:
        self._limiter = limiter
        self._name = name
        self._address = address

    async def count_login(self, address: str, login_name: str) -> None:
        """Count an attempt at a user's password."""
        text = "Too many login attempts. Please try again later."
        await self._hit(f"login:address:{address}", self._address, text)
        await self._hit(f"login:name:{login_name.casefold()}", self._name, text)

    async def count_registration(self, address: str) -> None:
        """Count an attempt to register."""
        text = "Too many registrations. Please try again later."
        await self._hit(f"login:address:{address}", self._address, text)

    async def _hit(self, key: str, rate: Rate | None, text: str) -> None:
        retry_after = None if rate is None else await self._limiter.hit(key, rate.count, rate.seconds)
        if retry_after is not None:
            raise RequestError(Code.RATE_LIMITED, text, retry_after=retry_after)


class Accounts:
    """Registers users, logs them in and switches them off."""

    def __init__(
        self,
        users: Users,
        tokens: Tokens,
        passwords: Passwords,
        bus: Bus,
        attempts: Attempts,
        rules: AccountRules,
    ) -> None:
        self._users = users
        self._tokens = tokens
        self._passwords = passwords
        self._bus = bus
        self._attempts = attempts
        self._rules = rules

    async def register(self, request: rest.Register, address: str) -> rest.LoggedIn:
        """Store a new user and log it in. Raises `RequestError`: CONFLICT, RATE_LIMITED, FORBIDDEN."""
        self._require_issuer()
        if not self._rules.open_registration:
            raise errors.forbidden("Registration is closed on this server")
        await self._attempts.count_registration(address)
        return await self._log_in(await self._create(request, Role.USER))

    async def add(self, request: rest.Register, role: Role) -> rest.UserDetails:
        """Store a new user. Raises `RequestError` (CONFLICT)."""
        return detailed(await self._create(request, role))

    async def _create(self, request: rest.Register, role: Role) -> records.User:
        password_hash = await self._passwords.hash(request.password)
        user = records.User(
            id=new_id(),
            username=request.username,
            email=request.email,
            role=role,
            active=True,
            created_at=now(),
        )
        try:
            await self._users.create_user(user, password_hash)
        except Conflict as conflict:
            raise errors.conflict(TAKEN[conflict.what]) from None
        return user

    async def log_in(self, request: rest.LogIn, address: str) -> rest.LoggedIn:
        """Log a user in by name or e-mail address.

        An unknown name and a wrong password are told, and take, the same. Raises `RequestError`:
        UNAUTHENTICATED, FORBIDDEN (switched off), RATE_LIMITED.
        """
        self._require_issuer()
        await self._attempts.count_login(address, request.username)
        found = await self._users.credentials(request.username)
        password_hash = None if found is None else found.password_hash
        verdict = await self._passwords.verify(password_hash, request.password)
        if found is None or not verdict.right:
            raise RequestError(Code.UNAUTHENTICATED, "Invalid username or password")
        if verdict.rehashed is not None:
            await self._users.set_password(found.user.id, verdict.rehashed)
        return await self._log_in(found.user)

    async def refresh(self, request: rest.Refresh) -> rest.LoggedIn:
        """Give new tokens for a refresh token, which is used up. Raises `RequestError`: UNAUTHENTICATED."""
        self._require_issuer()
        user_id = await self._users.take_refresh_token(hashed(request.refresh_token), now())
        user = None if user_id is None else await self._users.user(user_id)
        if user is None:
            raise RequestError(Code.UNAUTHENTICATED, "Invalid refresh token")
        return await self._log_in(user)

    async def _log_in(self, user: records.User) -> rest.LoggedIn:
        if not user.active:
            raise errors.forbidden("This account is switched off")
        access_token, expires_at = self._tokens.issue(user, self._rules.access_ttl)
        refresh_token = secrets.token_urlsafe(32)
        await self._users.save_refresh_token(
            records.RefreshToken(
                token_hash=hashed(refresh_token),
                user_id=user.id,
                expires_at=now() + round(self._rules.refresh_ttl * 1000),
            )
        )
        return rest.LoggedIn(
            user=shown(user),
            access_token=access_token,
            refresh_token=refresh_token,
            expires_at=iso(expires_at),
        )

    async def change(self, user_id: str, change: rest.UserChange) -> rest.UserDetails:
        """Replace a user's password, switch a user off or on.

        Either ends the logins of before: their refresh tokens give nothing more. Whoever is switched off is
        refused at once, connected sockets included. Raises `RequestError`: NOT_FOUND, CONFLICT (the name is
        that of another user with a password).
        """
        await self._stored(user_id)
        if change.password is not UNSET:
            await self._set_password(user_id, change.password)
            await self._users.drop_refresh_tokens(user_id)
        if change.active is not UNSET:
            await self._users.set_active(user_id, change.active)
            if not change.active:
                self._bus.publish(CutOff(user_id=user_id))
                await self._users.drop_refresh_tokens(user_id)
        return detailed(await self._stored(user_id))

    async def _set_password(self, user_id: str, password: str) -> None:
        try:
            await self._users.set_password(user_id, await self._passwords.hash(password))
        except Conflict as conflict:
            raise errors.conflict(TAKEN[conflict.what]) from None

    async def _stored(self, user_id: str) -> records.User:
        user = await self._users.user(user_id)
        if user is None:
            raise errors.user_not_found()
        return user

    async def user(self, user_id: str) -> rest.User:
        """Return a user. Raises `RequestError` (NOT_FOUND)."""
        return shown(await self._stored(user_id))

    async def find(self, login: str) -> rest.UserDetails:
        """Return the user of that name or address with a password, or else of that id.

        Raises `RequestError` (NOT_FOUND).
        """
        found = await self._users.credentials(login)
        return detailed(found.user if found is not None else await self._stored(login))

    async def page(self, cursor: str | None, limit: int) -> rest.UserList:
        """Return a page of users, by name."""
        after = "" if cursor is None else paging.decode(cursor)
        rows = await self._users.list_users(after, limit + 1)
        page, more = rows[:limit], rows[limit:]
        return rest.UserList(
            users=[detailed(user) for user in page],
            next_cursor=paging.encode(page[-1].id) if more else None,
        )

    def _require_issuer(self) -> None:
        if not self._tokens.can_issue:
            raise errors.forbidden("Accounts are kept elsewhere: this server only accepts their tokens")


def hashed(token: str) -> bytes:
    """A random token as it is stored: without it, a stolen database opens no door."""
    return hashlib.sha256(token.encode()).digest()


def shown(user: records.User) -> rest.User:
    """A user as the HTTP API shows one."""
    return rest.User(
        id=user.id, username=user.username, email=user.email, role=user.role, created_at=iso(user.created_at)
    )


def detailed(user: records.User) -> rest.UserDetails:
    """A user as the HTTP API shows one to admins."""
    return rest.UserDetails(
        id=user.id,
        username=user.username,
        email=user.email,
        role=user.role,
        created_at=iso(user.created_at),
        active=user.active,
        last_seen=None if user.last_seen is None else iso(user.last_seen),
    )
