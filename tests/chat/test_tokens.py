"""Who bears a token: what is accepted, what is refused, and what is remembered of it."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any, cast

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hubbub.chat.signatures import MAX_TOKEN, Signatures, TokenRules
from hubbub.chat.tokens import OPERATOR, TRUSTED_FOR, Identity, TokenProblem, TokenRefused, Tokens
from hubbub.cluster.base import CutOff
from hubbub.cluster.local import LocalBus
from hubbub.contract.errors import Code, RequestError
from hubbub.store import records
from hubbub.store.base import Store, StoreUnavailable

SECRET = "s" * 40
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """The public half, as an operator configures it."""
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form).decode()


class FakeUsers:
    """The users of a store, in memory, with a count of the questions asked."""

    def __init__(self) -> None:
        self.stored: dict[str, records.User] = {}
        self.asked = 0
        self.down = False

    async def user(self, user_id: str) -> records.User | None:
        self.asked += 1
        if self.down:
            raise StoreUnavailable
        return self.stored.get(user_id)

    async def ensure_user(self, user: records.User) -> records.User:
        self.asked += 1
        self.stored[user.id] = user
        return user


class World:
    """Tokens with everything around them; the clock is moved by hand."""

    def __init__(self, rules: TokenRules, **options: Any) -> None:
        self.users = FakeUsers()
        self.bus = LocalBus()
        self.time = int(time.time() * 1000)
        self.signatures = Signatures(rules)
        self.tokens = Tokens(
            self.signatures, cast("Store", self.users), self.bus, now=lambda: self.time, **options
        )

    async def refusal(self, token: str | None) -> TokenProblem:
        with pytest.raises(TokenRefused) as refused:
            await self.tokens.identify(token)
        return refused.value.code

    def claims(self, **claims: Any) -> dict[str, Any]:
        return {"sub": "u1", "exp": self.time // 1000 + 60, **claims}

    def token(self, **claims: Any) -> str:
        return jwt.encode(self.claims(**claims), SECRET)


@pytest.fixture(params=["new headers", "familiar headers"])
async def world(request: pytest.FixtureRequest) -> World:
    """Tokens signed with a shared secret; the headers that they mostly have were perhaps seen before."""
    made = World(TokenRules(secret=SECRET))
    if request.param == "familiar headers":
        for token in (made.token(), raw({"alg": "HS256"}, json.dumps(made.claims()).encode())):
            await made.signatures.verify(token)
            assert made.signatures._recognize(token) is not None
    return made


def raw(header: object, payload: bytes, sign: bool = True) -> str:
    """A token made by hand, signed with the right secret."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header).encode(), payload)]
    body = b".".join(parts)
    signature = hmac.digest(SECRET.encode(), body, "sha256") if sign else b""
    return (body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_an_issued_token_tells_its_user(world: World) -> None:
    """What a token was issued for is what it says, until it expires."""
    user = records.User(id="u1", username="ann", email="a@b.cd", role="user", active=True, created_at=1)
    token, expires_at = world.tokens.issue(user, 60)
    assert expires_at >= world.time + 60_000
    assert await world.tokens.identify(token) == Identity(
        user_id="u1", username="ann", email="a@b.cd", role="user", expires_at=expires_at
    )
    world.time = expires_at
    assert await world.refusal(token) == TokenProblem.TOKEN_EXPIRED


@pytest.mark.parametrize("token", [None, ""])
async def test_no_token(world: World, token: str | None) -> None:
    """Nothing at all is told apart from something wrong."""
    assert await world.refusal(token) == TokenProblem.MISSING_TOKEN


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": True},
        {"exp": "1999999999"},
        {"exp": -1},
        {"exp": 10**18},
        {"exp": []},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 129},
        {"sub": 7},
        {"sub": "line\nbreak"},
        {"sub": "end\n"},
        {"sub": "nul\x00"},
        {"sub": {"$ne": None}},
        {"username": 5},
        {"username": ""},
        {"username": "a\x1bb"},
        {"email": 5},
        {"email": "x" * 255},
        {"role": "root"},
        {"role": None},
        {"role": ["admin"]},
        {"nbf": "soon"},
        {"nbf": 4_000_000_000},
        {"aud": 5},
    ],
)
async def test_a_wrong_claim_is_refused(world: World, change: dict[str, Any]) -> None:
    """A claim of another type or range than documented makes the token invalid, rightly signed or not."""
    claims = msgspec.json.encode(world.claims(**change))
    assert await world.refusal(raw({"alg": "HS256"}, claims)) == TokenProblem.INVALID_TOKEN


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"u1"',
        b'{"exp":1999999999}',
        b'{"sub":"u1"}',
        b'{"sub":"u1","exp":NaN}',
        b'{"sub":"u1","exp":Infinity}',
        b'{"sub":"u1","exp":1e400}',
        b'{"sub":"u1","exp":' + b"9" * 5000 + b"}",
        b'{"sub":"\\ud800","exp":1999999999}',
        b'{"sub":"\xff","exp":1999999999}',
        b'{"sub":"u1","exp":1999999999,"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ],
)
async def test_a_hostile_payload_is_refused(world: World, payload: bytes) -> None:
    """Whatever stands in a signed payload, the answer is a refusal and no other error."""
    assert await world.refusal(raw({"alg": "HS256"}, payload)) == TokenProblem.INVALID_TOKEN


@pytest.mark.parametrize(
    "token",
    ["x", ".", "..", "a.b", "a.b.c", "a.b.c.d", "\ud800", "ä.ö.ü", "e30.e30.e30", " ", "\x00", "A" * 9000],
)
async def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    """Whatever text is sent in a token's place, the answer is a refusal and no other error."""
    assert await world.refusal(token) == TokenProblem.INVALID_TOKEN


async def test_a_token_too_long_is_not_looked_at(world: World) -> None:
    """The size is limited, exactly, before anything is parsed."""
    lengths = {len(world.token(padding="x" * count)): count for count in range(5800, 6100)}
    fitting = world.token(padding="x" * lengths[MAX_TOKEN])
    too_long = world.token(padding="x" * lengths[min(length for length in lengths if length > MAX_TOKEN)])
    await world.tokens.identify(fitting)
    assert await world.refusal(too_long) == TokenProblem.INVALID_TOKEN


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": ""},
        {"alg": None},
        {"alg": ["HS256"]},
        {"alg": {"HS256": 1}},
        {},
        {"alg": "HS384"},
        {"alg": "RS256"},
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "crit": "exp"},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        {"alg": "HS256", "kid": 5},
    ],
)
async def test_a_header_chooses_nothing(world: World, header: dict[str, Any]) -> None:
    """Another algorithm than the configured one, or an extension that must be understood, is refused."""
    claims = msgspec.json.encode(world.claims())
    assert await world.refusal(raw(header, claims)) == TokenProblem.INVALID_TOKEN
    assert await world.refusal(raw(header, claims, sign=False)) == TokenProblem.INVALID_TOKEN


async def test_another_secret_is_refused(world: World) -> None:
    """A changed secret, payload or signature is noticed."""
    for secret in (SECRET + "\n", SECRET + " ", "S" * 40, SECRET[:-1] + "t"):
        forged = jwt.encode(world.claims(), secret)
        assert await world.refusal(forged) == TokenProblem.INVALID_TOKEN
    head, body, signature = world.token().split(".")
    swapped = world.token(role="admin").split(".")[1]
    assert await world.refusal(f"{head}.{swapped}.{signature}") == TokenProblem.INVALID_TOKEN
    assert await world.refusal(f"{head}.{body}.") == TokenProblem.INVALID_TOKEN
    assert await world.refusal(f"{head}.{body}.{signature[:-2]}") == TokenProblem.INVALID_TOKEN


@pytest.mark.parametrize(
    ("algorithm", "key"), [("RS256", RSA_KEY), ("ES256", EC_KEY), ("EdDSA", ED_KEY)], ids=lambda v: str(v)[:5]
)
async def test_public_keys(algorithm: str, key: Any) -> None:
    """Tokens signed by the private half pass; those signed with the public key's text as a secret do not."""
    text = pem(key)
    world = World(TokenRules(algorithms=(algorithm,), public_key=text))
    token = jwt.encode(world.claims(), key, algorithm)
    assert (await world.tokens.identify(token)).user_id == "u1"
    for secret in (text, text.strip(), text + "\n", text.replace("\n", "\r\n"), text.replace("\n", "")):
        for forged_algorithm in ("HS256", algorithm):
            assert await world.refusal(forged(world, secret, forged_algorithm)) == TokenProblem.INVALID_TOKEN
    assert not world.tokens.can_issue
    with pytest.raises(RequestError) as refused:
        world.tokens.issue(
            records.User(id="u", username="u", email=None, role="user", active=True, created_at=1), 1
        )
    assert refused.value.code == Code.FORBIDDEN


def forged(world: World, secret: str, algorithm: str) -> str:
    """A token signed by HMAC with some text, past the signer's own care."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": algorithm}, world.claims())
    ]
    signature = hmac.new(secret.encode(), b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def test_a_secret_and_a_public_key_side_by_side() -> None:
    """With both families configured each algorithm knows its own key and no other's."""
    text = pem(RSA_KEY)
    world = World(TokenRules(algorithms=("HS256", "RS256"), secret=SECRET, public_key=text))
    await world.tokens.identify(world.token())
    await world.tokens.identify(jwt.encode(world.claims(), RSA_KEY, "RS256"))
    assert await world.refusal(forged(world, text, "HS256")) == TokenProblem.INVALID_TOKEN
    assert await world.refusal(forged(world, SECRET, "RS256")) == TokenProblem.INVALID_TOKEN


async def test_issuer_and_audience() -> None:
    """Both are asked for where configured, whole and not in part; the server's own tokens have them."""
    world = World(TokenRules(secret=SECRET, issuer="https://id.example.com", audience="chat"))
    right = {"iss": "https://id.example.com", "aud": "chat"}
    await world.tokens.identify(world.token(**right))
    await world.tokens.identify(world.token(**{**right, "aud": ["web", "chat"]}))
    user = records.User(id="u1", username="ann", email=None, role="user", active=True, created_at=1)
    await world.tokens.identify(world.tokens.issue(user, 60)[0])
    for wrong in (
        {},
        {"iss": "https://id.example.com"},
        {"aud": "chat"},
        {**right, "iss": "https://id.example.com.evil.example"},
        {**right, "iss": "https://id"},
        {**right, "aud": "chatter"},
        {**right, "aud": []},
        {**right, "aud": ["ch", "at"]},
    ):
        assert await world.refusal(world.token(**wrong)) == TokenProblem.INVALID_TOKEN, wrong


async def test_an_unknown_user_is_made(world: World) -> None:
    """The first token of somebody stores a user, whose name is the id when the token has none."""
    who = await world.tokens.identify(world.token(sub="app|7", role="moderator"))
    assert (who.user_id, who.username, who.email, who.role) == ("app|7", "app|7", None, "moderator")
    assert world.users.stored["app|7"].role == "moderator"


async def test_unknown_users_can_be_refused() -> None:
    """With the switch off a valid token of nobody known is invalid."""
    world = World(TokenRules(secret=SECRET), create_unknown_users=False)
    assert await world.refusal(world.token()) == TokenProblem.INVALID_TOKEN
    assert not world.users.stored


async def test_the_stored_user_follows_the_token(world: World) -> None:
    """Name and address of a later token are taken over, the rest stays; the role is the visit's."""
    await world.tokens.identify(world.token(username="ann", email="a@b.cd"))
    who = await world.tokens.identify(world.token(username="anna", role="admin"))
    assert (who.username, who.email, who.role, who.is_admin) == ("anna", "a@b.cd", "admin", True)
    stored = world.users.stored["u1"]
    assert (stored.username, stored.email, stored.role) == ("anna", "a@b.cd", "user")
    assert (await world.tokens.identify(world.token())).username == "anna"


async def test_reconnects_do_not_ask_the_store(world: World) -> None:
    """A user let in lately is let in again without a question, for a while."""
    token = world.token(exp=world.time // 1000 + 3600)
    await world.tokens.identify(token)
    asked = world.users.asked
    for _ in range(3):
        await world.tokens.identify(token)
    assert world.users.asked == asked
    world.time += TRUSTED_FOR + 1
    await world.tokens.identify(token)
    assert world.users.asked > asked


async def test_a_switched_off_user_is_refused_at_once(world: World) -> None:
    """Being remembered does not help somebody who was switched off, nor a token of the future."""
    token = world.token()
    await world.tokens.identify(token)
    world.users.stored["u1"] = msgspec.structs.replace(world.users.stored["u1"], active=False)
    world.bus.publish(CutOff(user_id="u1"))
    assert await world.refusal(token) == TokenProblem.USER_INACTIVE
    world.users.stored["u1"] = msgspec.structs.replace(world.users.stored["u1"], active=True)
    await world.tokens.identify(token)


async def test_a_cut_off_while_the_store_is_asked_is_not_missed(world: World) -> None:
    """A user switched off between the store's answer and its arrival is refused."""
    token = world.token()
    await world.tokens.identify(token)
    world.bus.publish(CutOff(user_id="u1"))
    ask = world.users.user

    async def ask_and_switch_off(user_id: str) -> records.User | None:
        world.users.user = ask  # type: ignore[method-assign] # once
        found = await ask(user_id)
        world.users.stored["u1"] = msgspec.structs.replace(world.users.stored["u1"], active=False)
        world.bus.publish(CutOff(user_id="u1"))
        return found

    world.users.user = ask_and_switch_off  # type: ignore[method-assign] # the moment to be tested
    assert await world.refusal(token) == TokenProblem.USER_INACTIVE


async def test_a_failing_store_is_no_refusal(world: World) -> None:
    """When users cannot be looked up the answer is to come again, not that the token is wrong."""
    world.users.down = True
    with pytest.raises(RequestError) as refused:
        await world.tokens.identify(world.token())
    assert (refused.value.code, refused.value.retry_after) == (Code.UNAVAILABLE, 1)


async def test_fractions_of_seconds(world: World) -> None:
    """Dates with fractions are valid (RFC 7519, 2); expiry has no leeway."""
    who = await world.tokens.identify(world.token(exp=world.time / 1000 + 0.5))
    assert who.expires_at == pytest.approx(world.time + 500, abs=1)
    assert await world.refusal(world.token(exp=world.time / 1000)) == TokenProblem.TOKEN_EXPIRED


async def test_the_operator_is_let_in_where_that_does_no_harm(world: World) -> None:
    """Whoever signs as the operator is an admin of the HTTP API, refused by sockets and stored nowhere."""
    token = world.token(sub=OPERATOR, role="admin")
    who = await world.tokens.identify(token, operator_too=True)
    assert (who.user_id, who.is_admin) == (OPERATOR, True)
    assert await world.refusal(token) == TokenProblem.INVALID_TOKEN
    with pytest.raises(TokenRefused):
        await world.tokens.identify(world.token(sub=OPERATOR), operator_too=True)
    assert not world.users.stored


async def test_verifying_is_cheap(world: World) -> None:
    """A known user's token costs well under 100 microseconds, so that a storm of reconnects is bearable."""
    token = world.token(username="ann", email="ann@example.com", role="user")
    await world.tokens.identify(token)
    best = min([await seconds_of(world.tokens, token) for _ in range(5)])
    assert best < 100e-6


async def seconds_of(tokens: Tokens, token: str) -> float:
    """Processor time of identifying once."""
    begun = time.process_time()
    for _ in range(200):
        await tokens.identify(token)
    return (time.process_time() - begun) / 200
