"""Who may come in, by which way, and what a refused client is told (contract, section 1)."""

import base64
import hmac
import json
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.api.conftest import Worlds
from tests.harness.clients import NAMESPACE, RefusedError
from tests.harness.inbox import eventually
from tests.harness.shapes import RETRY_AFTER, check, one_of
from tests.harness.users import SECRET, User, new_user, sign
from tests.harness.world import NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET, PYTHON, World

TOO_MANY = "Too many connection attempts. Please try again later."


async def refusal(world: World, mode: str, **options: Any) -> tuple[str, Any]:
    """Message and data of the `connect_error` that a new client gets."""
    with pytest.raises(RefusedError) as refused:
        await world.client(mode=mode).connect(**options)
    return refused.value.message, refused.value.data


@pytest.mark.parametrize("namespace", ["/", "/other", "/chat/", "/Chat", "/admin"])
async def test_one_namespace(world: World, namespace: str) -> None:
    """Any other namespace than `/chat` is refused."""
    socket = world.raw()
    await socket.open(None)
    head = "" if namespace == "/" else f"{namespace},"
    await socket.send(f"40{head}" + json.dumps({"token": new_user().token()}))
    packet = (await socket.inbox.wait("44"))[2:]
    check(json.loads(packet.removeprefix(head)), {"message": "Invalid namespace"})


async def test_other_namespace_refused_to_every_client(world: World, mode: str) -> None:
    """Every client sees `Invalid namespace` as its `connect_error`."""
    message, _ = await refusal(world, mode, namespace="/other")
    assert message == "Invalid namespace"


@pytest.mark.node
async def test_default_client_upgrades(world: World) -> None:
    """The npm client with default options starts by polling and ends on WebSocket."""
    client = world.npm()
    await client.connect()
    assert await client.inbox.wait("$upgrade") == "websocket"
    await client.done("room:list")
    assert (await client.state())["transport"] == "websocket"


@pytest.mark.node
@pytest.mark.parametrize(("mode", "transport"), [(NPM_POLLING, "polling"), (NPM_WEBSOCKET, "websocket")])
async def test_single_transport(world: World, mode: str, transport: str) -> None:
    """Polling alone works, and so does WebSocket alone."""
    client = world.npm(mode=mode)
    await client.connect()
    await client.done("room:list")
    assert (await client.state())["transport"] == transport


async def test_token_in_header(world: World, mode: str) -> None:
    """`Authorization: Bearer` on the handshake is as good as `auth.token`."""
    user = new_user()
    client = world.client(user, mode)
    await client.connect(auth={}, headers={"Authorization": f"Bearer {user.token()}"})
    info = (await client.done("connection:session-info"))["sessionInfo"]
    assert info["userId"] == user.id


async def test_token_not_in_query(world: World, mode: str) -> None:
    """A token in the query string is not looked at."""
    message, data = await refusal(world, mode, auth={}, query=f"?token={new_user().token()}")
    assert message == "Unauthorized"
    check(data, {"code": "MISSING_TOKEN"})


async def test_bad_tokens_by_every_client(world: World, mode: str) -> None:
    """Each client is told the message and the code."""
    assert await refusal(world, mode, auth={}) == ("Unauthorized", {"code": "MISSING_TOKEN"})
    assert await refusal(world, mode, token="nonsense") == ("Unauthorized", {"code": "INVALID_TOKEN"})
    expired = new_user().token(-5)
    assert await refusal(world, mode, token=expired) == ("Unauthorized", {"code": "TOKEN_EXPIRED"})


def unsigned(user: User) -> str:
    """A token of the algorithm `none`."""
    return sign({"sub": user.id, "username": user.username, "exp": 2**33}, "", "none")


GOOD = new_user("good")
NO_TOKEN = one_of("MISSING_TOKEN", "INVALID_TOKEN")
"""What is no text may be taken for a bad token or for none."""

BAD_TOKENS: dict[str, tuple[Any, Any]] = {
    "no auth": (None, "MISSING_TOKEN"),
    "no token": ({}, "MISSING_TOKEN"),
    "null": ({"token": None}, "MISSING_TOKEN"),
    "empty": ({"token": ""}, "MISSING_TOKEN"),
    "number": ({"token": 7}, NO_TOKEN),
    "object": ({"token": {}}, NO_TOKEN),
    "garbage": ({"token": "a.b.c"}, "INVALID_TOKEN"),
    "huge": ({"token": "x" * 100_000}, "INVALID_TOKEN"),
    "other secret": ({"token": sign({"sub": "u", "exp": 2**33}, "x" * 48)}, "INVALID_TOKEN"),
    "algorithm none": ({"token": unsigned(GOOD)}, "INVALID_TOKEN"),
    "other algorithm": (
        {"token": sign({"sub": "u", "username": "u", "exp": 2**33}, SECRET, "HS384")},
        "INVALID_TOKEN",
    ),
    "no exp": ({"token": GOOD.token(exp=None)}, "INVALID_TOKEN"),
    "no sub": ({"token": GOOD.token(sub=None)}, "INVALID_TOKEN"),
    "empty sub": ({"token": GOOD.token(sub="")}, "INVALID_TOKEN"),
    "long sub": ({"token": GOOD.token(sub="x" * 129)}, "INVALID_TOKEN"),
    "control character in sub": ({"token": GOOD.token(sub="a\nb")}, "INVALID_TOKEN"),
    "unknown role": ({"token": GOOD.token(role="king")}, "INVALID_TOKEN"),
    "expired": ({"token": GOOD.token(-1)}, "TOKEN_EXPIRED"),
}


@pytest.mark.parametrize("case", BAD_TOKENS)
async def test_bad_token(world: World, case: str) -> None:
    """A token that is missing, invalid or expired is refused by code, and the connection may try again."""
    auth, code = BAD_TOKENS[case]
    socket = world.raw()
    await socket.open(None)
    await socket.send(f"40{NAMESPACE}," + ("" if auth is None else json.dumps(auth)))
    packet = await socket.inbox.wait("44")
    answer = json.loads(packet.removeprefix(f"44{NAMESPACE},"))
    check(answer, {"message": "Unauthorized", "data": {"code": code}})


async def test_any_printable_user_id(world: World) -> None:
    """User ids of foreign tokens may be any string of 1 to 128 printable characters."""
    for user_id in ("7", "auth0|a b/c é 🙂", "x" * 128):
        user = User(user_id, "someone", "someone@example.org")
        client = await world.connect(user)
        info = (await client.done("connection:session-info"))["sessionInfo"]
        assert info["userId"] == user_id
        await client.disconnect()


async def test_unknown_user_is_created(world: World) -> None:
    """A valid token of an unknown `sub` creates that user, who then counts and can be asked about."""
    watcher = await world.connect()
    before = (await watcher.done("presence:stats"))["stats"]["totalUsers"]
    newcomer = await world.connect()
    after = (await watcher.done("presence:stats"))["stats"]["totalUsers"]
    assert after == before + 1
    asked = await watcher.done("presence:user-status", {"userId": newcomer.user.id})
    assert asked["presence"]["username"] == newcomer.user.username


async def test_claims_of_a_minimal_token(world: World) -> None:
    """`username`, `email` and `role` may be missing; the role is then `user`."""
    user = new_user()
    client = world.client(user)
    await client.connect(user.token(username=None, email=None, role=None))
    presence = (await client.done("presence:user-status", {"userId": user.id}))["presence"]
    assert presence["email"] is None
    assert (await client.done("monitoring:stats"))["stats"]["topIPs"] == []


async def test_issuer_audience_and_unknown_users(world_with: Worlds) -> None:
    """Issuer and audience are checked when configured, and the creation of users can be switched off."""
    world = await world_with(
        jwt_issuer="https://id.example.org", jwt_audience="chat", create_unknown_users="false"
    )
    claims: dict[str, Any] = {"iss": "https://id.example.org", "aud": "chat"}
    wrongs = [{}, {"iss": claims["iss"]}, {**claims, "aud": "mail"}, {**claims, "iss": "https://id"}]
    for wrong in wrongs:
        _, data = await refusal(world, PYTHON, token=new_user().token(**wrong))
        assert data == {"code": "INVALID_TOKEN"}
    message, data = await refusal(world, PYTHON, token=new_user().token(**claims))
    assert message == "Unauthorized"
    assert data["code"] in {"INVALID_TOKEN", "USER_INACTIVE"}


async def test_public_key(world_with: Worlds) -> None:
    """With a public key its algorithm is the only one accepted, whatever a token says of itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    world = await world_with(jwt_secret=None, jwt_algorithms="ES256", jwt_public_key=pem)
    user = new_user()
    claims = {"sub": user.id, "username": user.username, "exp": 2**33}
    client = world.client(user)
    await client.connect(jwt.encode(claims, private, algorithm="ES256"))
    await client.done("room:list")
    head, body, _ = jwt.encode(claims, "x" * 32, algorithm="HS256").split(".")
    mac = hmac.digest(pem.encode(), f"{head}.{body}".encode(), "sha256")
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    for token in (forged, user.token(), unsigned(user)):
        _, data = await refusal(world, PYTHON, token=token)
        assert data == {"code": "INVALID_TOKEN"}


POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


async def handshake_status(url: str, transport: str, headers: dict[str, str]) -> int:
    """HTTP status of a handshake; 101 when a WebSocket was opened."""
    async with aiohttp.ClientSession() as http:
        if transport == POLLING:
            async with http.get(url + POLLING, headers=headers) as response:
                return response.status
        try:
            async with http.ws_connect(url + WEBSOCKET, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


ALLOWED = "https://app.example.org"
FOREIGN = [
    "https://evil.example.org",
    "null",
    "https://app.example.org.evil.example",
    "http://app.example.org",
    "https://app.example.org:444",
    "https://APP.example.org`",
]


@pytest.mark.parametrize("transport", [POLLING, WEBSOCKET], ids=["polling", "websocket"])
async def test_origin(world_with: Worlds, transport: str) -> None:
    """A foreign origin gets 403 on both transports; allowed, same and no origin pass."""
    world = await world_with(allowed_origins=ALLOWED)
    url = world.server.url
    opened = 200 if transport == POLLING else 101
    for origin in FOREIGN:
        assert await handshake_status(url, transport, {"Origin": origin}) == 403, origin
    for headers in ({}, {"Origin": url}, {"Origin": ALLOWED}):
        assert await handshake_status(url, transport, headers) == opened, headers


async def test_no_origin_is_allowed_by_default(world: World) -> None:
    """A server that was told of no origins refuses all foreign ones."""
    for transport in (POLLING, WEBSOCKET):
        assert await handshake_status(world.server.url, transport, {"Origin": ALLOWED}) == 403


async def test_allowed_origin_may_read(world_with: Worlds) -> None:
    """A page of an allowed origin is given the headers with which its browser lets it read."""
    world = await world_with(allowed_origins=ALLOWED)
    async with (
        aiohttp.ClientSession() as http,
        http.get(world.server.url + POLLING, headers={"Origin": ALLOWED}) as response,
    ):
        assert response.headers["Access-Control-Allow-Origin"] == ALLOWED


@pytest.mark.node
async def test_foreign_origin_of_the_npm_client(world: World) -> None:
    """The npm client with a foreign origin never connects, by polling or by WebSocket."""
    for mode in (NPM_DEFAULT, NPM_WEBSOCKET):
        client = world.npm(mode=mode)
        with pytest.raises(RefusedError):
            await client.connect(
                headers={"Origin": "https://evil.example.org"}, manager={"reconnection": False}
            )


async def test_connection_rate(world_with: Worlds) -> None:
    """The first N attempts of an address succeed, the next is refused for the time of the block."""
    world = await world_with(connection_rate="3/5m", connection_block="15m")
    for _ in range(3):
        await world.connect()
    message, data = await refusal(world, PYTHON)
    assert message == TOO_MANY
    check(data, {"code": "RATE_LIMITED", "retryAfter": RETRY_AFTER})
    assert 890 <= data["retryAfter"] <= 900


@pytest.mark.node
async def test_connection_rate_by_every_npm_mode(world_with: Worlds) -> None:
    """All transports count together, and each is refused in the same words."""
    world = await world_with(connection_rate="3/6m")
    for mode in (NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET):
        await world.connect(mode=mode)
    for mode in (NPM_DEFAULT, NPM_POLLING, NPM_WEBSOCKET, PYTHON):
        message, data = await refusal(world, mode)
        assert (message, data["code"]) == (TOO_MANY, "RATE_LIMITED")


async def test_refused_attempts_count(world_with: Worlds) -> None:
    """An attempt is a CONNECT to `/chat`, with a good token or not; the block ends when it was said to."""
    world = await world_with(connection_rate="2/1s", connection_block="2s")
    for _ in range(2):
        _, data = await refusal(world, PYTHON, token="nonsense")
        assert data["code"] == "INVALID_TOKEN"
    message, data = await refusal(world, PYTHON)
    assert message == TOO_MANY
    assert data["retryAfter"] in {1, 2}

    async def let_in() -> bool:
        try:
            await world.connect()
        except RefusedError:
            return False
        return True

    await eventually(let_in, what="the end of the block")


@pytest.mark.parametrize(("proxies", "let_in"), [("127.0.0.1/32", True), ("", False)])
async def test_address_behind_a_proxy(world_with: Worlds, proxies: str, let_in: bool) -> None:
    """`X-Forwarded-For` counts when the peer is a trusted proxy, and is ignored when not."""
    settings = {"connection_rate": "1/5m"} | ({"trusted_proxies": proxies} if proxies else {})
    world = await world_with(**settings)
    await world.client().connect(headers={"X-Forwarded-For": "192.0.2.1"})
    second = world.client().connect(headers={"X-Forwarded-For": "192.0.2.2"})
    if let_in:
        await second
        _, data = await refusal(world, PYTHON, headers={"X-Forwarded-For": "192.0.2.2"})
        assert data["code"] == "RATE_LIMITED"
    else:
        with pytest.raises(RefusedError):
            await second
