"""Access tokens: who is asking.

    token -> claims (`signatures`) -> expiry -> the stored user, made at first sight -> Identity

The token decides a user's name and e-mail (the stored user follows) and the role of this visit; the stored
role is what the server's own tokens carry. Users who were let in lately are remembered, so that a storm of
reconnects does not touch the database; switching a user off makes this node forget at once, and others within
`TRUSTED_FOR` even if they were never told.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

import msgspec

from hubbub.chat.keys import KeysUnavailable
from hubbub.chat.signatures import NOT_BEFORE_LEEWAY, Claims, Signatures, TokenInvalid
from hubbub.cluster.base import Bus, CutOff, Telling
from hubbub.contract import errors, values
from hubbub.contract.values import Role
from hubbub.store import records
from hubbub.store.base import StoreUnavailable, Unstorable, Users

TRUSTED_FOR: Final = 60_000
"""Milliseconds for which a user who was found active is let in without asking the store."""

REMEMBERED: Final = 65_536
"""Most users remembered as active."""

OPERATOR: Final = "hubbub:operator"
"""The `sub` of whoever runs the server and signs with its secret: an admin of the HTTP API, but no user."""


class TokenProblem(StrEnum):
    """Why a token lets nobody in."""

    MISSING_TOKEN = "MISSING_TOKEN"  # noqa: S105 -- a name, no secret
    INVALID_TOKEN = "INVALID_TOKEN"  # noqa: S105
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105
    USER_INACTIVE = "USER_INACTIVE"


class TokenRefused(Exception):
    """The token lets nobody in; `code` says why, as a refused connection does (contract, section 1)."""

    def __init__(self, code: TokenProblem) -> None:
        super().__init__(code)
        self.code = code


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who bears a token. `expires_at` is in Unix milliseconds."""

    user_id: str
    username: str
    email: str | None
    role: str
    expires_at: int

    @property
    def is_admin(self) -> bool:
        """Whether the user may do everything on the whole server."""
        return self.role == Role.ADMIN


class Admitted(msgspec.Struct, frozen=True):
    """A user found active at `at`, and what the token had said by then."""

    user: records.User
    username: str | None
    email: str | None
    at: int


class Tokens:
    """Makes access tokens and tells who bears one."""

    def __init__(
        self,
        signatures: Signatures,
        users: Users,
        bus: Bus,
        *,
        create_unknown_users: bool = True,
        now: Callable[[], int] = values.now,
    ) -> None:
        self._signatures = signatures
        self._users = users
        self._create_unknown_users = create_unknown_users
        self._now = now
        self._admitted: OrderedDict[str, Admitted] = OrderedDict()
        # How often anybody was switched off: who was let in meanwhile has to be asked about again.
        self.cut_offs = 0
        bus.subscribe(self._heard)

    @property
    def can_issue(self) -> bool:
        """Whether this server makes tokens, or only accepts those of somebody else."""
        return self._signatures.can_sign

    def issue(self, user: records.User, ttl: float) -> tuple[str, int]:
        """Return a token of a user for at least `ttl` seconds, and when it expires in Unix milliseconds.

        Raises `RequestError` when this server only accepts tokens of somebody else.
        """
        if not self.can_issue:
            raise errors.forbidden("This server takes its tokens from elsewhere")
        return issue(self._signatures, user, ttl, self._now())

    async def identify(
        self,
        token: str | None,
        *,
        operator_too: bool = False,
        before_storing: Callable[[], Awaitable[None]] | None = None,
    ) -> Identity:
        """Return who bears a token; an unknown user is stored where that is allowed.

        `operator_too` lets `OPERATOR` in, where somebody who is no user does no harm. `before_storing` may
        raise to have nothing stored. Raises `TokenRefused`, or `RequestError` (UNAVAILABLE) when the token
        cannot be judged now.
        """
        claims = await self._judge(token)
        if claims.sub == OPERATOR:
            return operator(claims, allowed=operator_too)
        user = self._remembered(claims, self._now()) or await self._admit(claims, before_storing)
        return Identity(
            user_id=user.id,
            username=user.username,
            email=user.email,
            role=claims.role,
            expires_at=int(claims.exp * 1000),
        )

    async def subject(self, token: str | None) -> str:
        """Return whom a good token names, perhaps somebody unknown or switched off; nothing is stored.

        Raises as `identify` does.
        """
        return (await self._judge(token)).sub

    async def _judge(self, token: str | None) -> Claims:
        """Return what a token says that is good now."""
        if not token:
            raise TokenRefused(TokenProblem.MISSING_TOKEN)
        claims = await self._verify(token)
        now = self._now()
        if claims.exp * 1000 <= now:
            raise TokenRefused(TokenProblem.TOKEN_EXPIRED)
        if claims.nbf is not None and claims.nbf * 1000 > now + NOT_BEFORE_LEEWAY * 1000:
            raise TokenRefused(TokenProblem.INVALID_TOKEN)
        return claims

    async def _verify(self, token: str) -> Claims:
        try:
            return await self._signatures.verify(token)
        except TokenInvalid:
            raise TokenRefused(TokenProblem.INVALID_TOKEN) from None
        except KeysUnavailable:
            raise errors.unavailable() from None

    def _remembered(self, claims: Claims, now: int) -> records.User | None:
        known = self._admitted.get(claims.sub)
        if known is None or now - known.at > TRUSTED_FOR:
            return None
        if (known.username, known.email) != (claims.username, claims.email):
            return None
        return known.user

    async def _admit(
        self, claims: Claims, before_storing: Callable[[], Awaitable[None]] | None
    ) -> records.User:
        """Return the stored user, who may come in, and remember that."""
        while True:
            cut_offs, now = self.cut_offs, self._now()
            try:
                user, is_stored = await self._known(claims, now)
                if not is_stored:
                    if before_storing is not None:
                        await before_storing()
                    user = await self._users.ensure_user(user)
            except StoreUnavailable:
                raise errors.unavailable() from None
            except Unstorable:
                raise TokenRefused(TokenProblem.INVALID_TOKEN) from None
            if not user.active:
                raise TokenRefused(TokenProblem.USER_INACTIVE)
            if cut_offs == self.cut_offs:  # else it may have been this user, just after we read
                self._remember(Admitted(user, claims.username, claims.email, now))
                return user

    def _remember(self, admitted: Admitted) -> None:
        self._admitted[admitted.user.id] = admitted
        self._admitted.move_to_end(admitted.user.id)
        if len(self._admitted) > REMEMBERED:
            self._admitted.popitem(last=False)

    async def _known(self, claims: Claims, now: int) -> tuple[records.User, bool]:
        """Return the user of that id, brought up to date with the token, or made from it; and whether it is
        stored like that.
        """
        known = await self._users.user(claims.sub)
        if known is None and not self._create_unknown_users:
            raise TokenRefused(TokenProblem.INVALID_TOKEN)
        if known is None:
            user = records.User(
                id=claims.sub,
                username=claims.username or claims.sub,
                email=claims.email,
                role=claims.role,
                active=True,
                created_at=now,
            )
            return user, False
        wanted = msgspec.structs.replace(
            known, username=claims.username or known.username, email=claims.email or known.email
        )
        return wanted, wanted == known

    def _heard(self, telling: Telling) -> None:
        """Forget a user who was switched off."""
        if isinstance(telling, CutOff):
            self.cut_offs += 1
            self._admitted.pop(telling.user_id, None)


def operator(claims: Claims, *, allowed: bool) -> Identity:
    """The operator's identity. Raises `TokenRefused`."""
    if not allowed or claims.role != Role.ADMIN:
        raise TokenRefused(TokenProblem.INVALID_TOKEN)
    expires_at = int(claims.exp * 1000)
    return Identity(user_id=OPERATOR, username=OPERATOR, email=None, role=claims.role, expires_at=expires_at)


def issue(signatures: Signatures, user: records.User, ttl: float, now: int) -> tuple[str, int]:
    """Return a token of a user for at least `ttl` seconds, and when it expires in Unix milliseconds.

    For whoever has the secret and no server, such as the command line. `signatures.can_sign` must be true.
    """
    expires = -(-(now + round(ttl * 1000)) // 1000)
    claims: dict[str, object] = {"sub": user.id, "username": user.username, "role": user.role}
    if user.email is not None:
        claims["email"] = user.email
    return signatures.sign({**claims, "iat": now // 1000, "exp": expires}), expires * 1000
