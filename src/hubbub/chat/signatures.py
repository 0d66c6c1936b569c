"""Signatures of access tokens: which are accepted, and how the server's own are made.

    token -> size -> one of the configuration's algorithms, with the one key bound to it -> claims, typed

The token's header only chooses among the algorithms and key ids that are accepted anyway. Unknown critical
extensions (`crit`) are refused.
"""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import jwt
import msgspec

from hubbub.chat.keys import KeySet, bind
from hubbub.contract.values import PRINTABLE, Id, Role

MAX_TOKEN: Final = 8192
"""Longest token that is looked at, in bytes."""

NOT_BEFORE_LEEWAY: Final = 5
"""Seconds by which an issuer's clock may be ahead (`nbf`). `exp` has no leeway."""

SHARED_SECRET: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
"""Algorithms that sign and verify by one secret, and the hashes that they go by."""

_MOST_FAMILIAR: Final = 16
_YEAR_10000: Final = 253_402_300_800

NumericDate = (
    Annotated[int, msgspec.Meta(ge=0, lt=_YEAR_10000)] | Annotated[float, msgspec.Meta(ge=0, lt=_YEAR_10000)]
)


class TokenInvalid(Exception):
    """The token proves nothing: not signed by an accepted key, or not made of the claims it needs."""


class Claims(msgspec.Struct, frozen=True):
    """What a token says. Other claims are ignored; times are Unix seconds."""

    sub: Id
    exp: NumericDate
    nbf: NumericDate | None = None
    iss: str | None = None
    aud: str | list[str] | None = None
    username: Id | None = None
    email: Annotated[str, msgspec.Meta(max_length=254, pattern=PRINTABLE)] | None = None
    role: Role = Role.USER


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Which tokens are accepted. `secret` belongs to the HS algorithms, the other two (one at most) to the
    rest.
    """

    algorithms: tuple[str, ...] = ("HS256",)
    secret: str | None = None
    public_key: str | None = None
    jwks_url: str | None = None
    issuer: str | None = None
    audience: str | None = None


class Signatures:
    """Verifies tokens, and signs those of this server where it has a shared secret."""

    def __init__(self, rules: TokenRules) -> None:
        """Raises `jwt.InvalidKeyError` when a key does not fit its algorithm."""
        self._rules = rules
        shared = [name for name in rules.algorithms if name in SHARED_SECRET]
        public = [name for name in rules.algorithms if name not in SHARED_SECRET]
        keys = dict.fromkeys(shared, rules.secret) | dict.fromkeys(public, rules.public_key)
        self._given = bind({name: key for name, key in keys.items() if key is not None})
        self._signing = shared[0] if shared and rules.secret is not None else None
        self._served = None if rules.jwks_url is None else KeySet(rules.jwks_url, public)
        # Headers of tokens signed by the secret that PyJWT has accepted, and the hash that each stands for.
        self._familiar: dict[str, str] = {}

    async def verify(self, token: str) -> Claims:
        """Return what a token says; whether it has expired is the caller's question.

        Raises `TokenInvalid`, and `KeysUnavailable` when the keys to judge it by cannot be fetched.
        """
        if len(token) > MAX_TOKEN or not token.isascii():
            raise TokenInvalid
        payload = self._recognize(token)
        if payload is None:
            payload = await self._decode(token)
        claims = read(payload)
        self._check_parties(claims)
        return claims

    async def _decode(self, token: str) -> bytes:
        """Return the payload of a token, which is judged by PyJWT."""
        try:
            verifier = self._given if self._served is None else await self._choose(self._served, token)
            decoded = verifier.decode_complete(token, "", verifier.get_algorithms())
        except (jwt.InvalidTokenError, jwt.InvalidKeyError):
            raise TokenInvalid from None
        algorithm = decoded["header"]["alg"]
        if algorithm in SHARED_SECRET and len(self._familiar) < _MOST_FAMILIAR:
            self._familiar[token.partition(".")[0]] = SHARED_SECRET[algorithm]
        payload: bytes = decoded["payload"]
        return payload

    def _recognize(self, token: str) -> bytes | None:
        """Return the payload of a token that PyJWT accepts for sure, at a tenth of its cost; else None.

        The header is, letter for letter, that of a token it has accepted, so only the payload and the
        signature are new; both must be written in the one canonical way.
        """
        body, _, signature = token.rpartition(".")
        header, _, segment = body.partition(".")
        digest = self._familiar.get(header)
        if digest is None or self._rules.secret is None:
            return None
        expected = _base64url(hmac.digest(self._rules.secret.encode(), body.encode(), digest))
        if not hmac.compare_digest(expected, signature.encode()):
            return None
        try:
            payload = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        except ValueError:
            return None
        return payload if _base64url(payload) == segment.encode() else None

    async def _choose(self, served: KeySet, token: str) -> jwt.PyJWS:
        """Return what verifies this token: the keys given here, or the served one that it names."""
        header = self._given.get_unverified_header(token)
        if header.get("alg") not in served.algorithms:
            return self._given
        found = await served.find(header.get("kid"))
        if found is None:
            raise TokenInvalid
        return found

    def _check_parties(self, claims: Claims) -> None:
        rules = self._rules
        if rules.issuer is not None and claims.iss != rules.issuer:
            raise TokenInvalid
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
        if rules.audience is not None and rules.audience not in audience:
            raise TokenInvalid

    @property
    def can_sign(self) -> bool:
        """Whether this server can make tokens that it accepts."""
        return self._signing is not None

    def sign(self, claims: Mapping[str, object]) -> str:
        """Return a token with these claims, and the issuer and audience that are asked for.

        `can_sign` must be true.
        """
        parties = {"iss": self._rules.issuer, "aud": self._rules.audience}
        whole = {**claims, **{name: party for name, party in parties.items() if party is not None}}
        return self._given.encode(msgspec.json.encode(whole), "", self._signing)


def read(payload: bytes) -> Claims:
    """Return the typed claims. Raises `TokenInvalid`."""
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise TokenInvalid from None


def _base64url(data: bytes) -> bytes:
    """As in tokens: without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


_decoder = msgspec.json.Decoder(Claims)
