"""Keys served by a URL: fetched off the loop, kept, and bound to what they are for."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hubbub.chat.keys import COOLDOWN, LIFESPAN, KeySet, KeysUnavailable
from hubbub.chat.signatures import Signatures, TokenInvalid, TokenRules

RSA_KEYS = {kid: rsa.generate_private_key(public_exponent=65537, key_size=2048) for kid in ("one", "two")}
EC_KEY = ec.generate_private_key(ec.SECP256R1())
SECRET = "s" * 40


def served(kid: str, **fields: Any) -> dict[str, Any]:
    """A member of the key set."""
    return {
        **jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEYS[kid].public_key(), as_dict=True),
        "kid": kid,
        **fields,
    }


class KeyServer:
    """A server of keys on this machine, which counts its requests and can fail."""

    def __init__(self) -> None:
        self.body: object = {"keys": [served("one")]}
        self.status = 200
        self.requests = 0
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                body = outer.body if isinstance(outer.body, bytes) else json.dumps(outer.body).encode()
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A key server of the test's own."""
    running = KeyServer()
    yield running
    running.stop()


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def signatures(server: KeyServer, *algorithms: str, **rules: Any) -> Signatures:
    """What judges tokens by the keys of that server."""
    return Signatures(TokenRules(algorithms=algorithms or ("RS256",), jwks_url=server.url, **rules))


def token(kid: str | None, key: Any = None, algorithm: str = "RS256", **headers: Any) -> str:
    """A token that names a key, signed by that one or by another."""
    claims = {"sub": "u1", "exp": 4_000_000_000}
    named = headers if kid is None else {"kid": kid, **headers}
    return jwt.encode(claims, key or RSA_KEYS[kid or "one"], algorithm, headers=named)


async def test_a_served_key_verifies_its_tokens(server: KeyServer) -> None:
    """A token is verified by the key it names; with several keys it must name one."""
    server.body = {"keys": [served("one"), served("two", alg="RS256", use="sig")]}
    checks = signatures(server)
    assert (await checks.verify(token("one"))).sub == "u1"
    assert (await checks.verify(token("two"))).sub == "u1"
    for wrong in (token("two", RSA_KEYS["one"]), token("three", RSA_KEYS["one"]), token(None)):
        with pytest.raises(TokenInvalid):
            await checks.verify(wrong)
    assert server.requests == 1


async def test_a_single_key_needs_no_name(server: KeyServer) -> None:
    """When one key is served, a token without `kid` means that one."""
    assert (await signatures(server).verify(token(None))).sub == "u1"


@pytest.mark.parametrize(
    "member",
    [
        served("one", use="enc"),
        served("one", alg="RS512"),
        served("one", alg="HS256"),
        {"kty": "oct", "kid": "one", "k": "c2VjcmV0"},
        jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEYS["one"], as_dict=True) | {"kid": "one"},
        jwt.algorithms.ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "one"},
        {"kty": "RSA", "kid": "one"},
        {"kty": "RSA", "kid": "one", "n": 5, "e": []},
        {"kid": "one"},
        [],
        None,
        7,
    ],
)
async def test_a_key_for_something_else_verifies_nothing(server: KeyServer, member: Any) -> None:
    """Keys of another kind or use, private ones and broken ones are passed over."""
    server.body = {"keys": [member, served("two")]}
    checks = signatures(server)
    with pytest.raises(TokenInvalid):
        await checks.verify(token("one"))
    await checks.verify(token("two"))


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"keys": 5}', b'{"keys": []}', b"{}", b"\xff"])
async def test_nothing_useful_served(server: KeyServer, body: bytes) -> None:
    """Without any key there is no judging tokens."""
    server.body = body
    with pytest.raises(KeysUnavailable):
        await signatures(server).verify(token("one"))


async def test_a_redirect_is_not_followed(server: KeyServer) -> None:
    """The configured address is the only one ever asked."""
    server.status, server.headers = 302, {"Location": server.url + "/elsewhere"}
    with pytest.raises(KeysUnavailable):
        await signatures(server).verify(token("one"))
    assert server.requests == 1


async def test_addresses_in_a_token_lead_nowhere(server: KeyServer) -> None:
    """`jku`, `x5u` and `jwk` in a token's header are passed over."""
    other = KeyServer()
    try:
        header: dict[str, Any] = {"jku": other.url, "x5u": other.url, "jwk": served("two")}
        with pytest.raises(TokenInvalid):
            await signatures(server).verify(token("two", **header))
        assert other.requests == 0
    finally:
        other.stop()


async def test_unknown_names_do_not_flood_the_key_server(server: KeyServer) -> None:
    """A new key is found after a while; until then tokens that name unknown keys cost no request."""
    clock = Clock()
    keys = KeySet(server.url, ["RS256"], clock)
    assert await keys.find("one") is not None
    server.body = {"keys": [served("one"), served("two")]}
    for attempt in range(20):
        assert await keys.find(f"unknown-{attempt}") is None
    assert server.requests == 1
    clock.time += COOLDOWN
    assert await keys.find("two") is not None
    assert server.requests == 2


async def test_keys_are_renewed_and_outlive_a_failure(server: KeyServer) -> None:
    """The set is fetched again after its life; when that fails the known keys stay."""
    clock = Clock()
    keys = KeySet(server.url, ["RS256"], clock)
    await keys.find("one")
    clock.time += LIFESPAN
    server.status = 500
    assert await keys.find("one") is not None
    assert server.requests == 2
    clock.time += LIFESPAN
    server.status, server.body = 200, {"keys": [served("two")]}
    assert await keys.find("one") is None
    assert await keys.find("two") is not None


async def test_a_storm_fetches_once(server: KeyServer) -> None:
    """Many tokens at once share the one request."""
    checks = signatures(server)
    await asyncio.gather(*(checks.verify(token("one")) for _ in range(20)))
    assert server.requests == 1


async def test_a_secret_beside_served_keys(server: KeyServer) -> None:
    """The server's own tokens go by its secret and need no key server; a served key signs no HS token."""
    checks = signatures(server, "HS256", "RS256", secret=SECRET)
    assert checks.can_sign
    await checks.verify(checks.sign({"sub": "u1", "exp": 4_000_000_000}))
    assert server.requests == 0
    await checks.verify(token("one"))
    with pytest.raises(TokenInvalid):
        await checks.verify(token("one", "x" * 40, "HS256"))
    with pytest.raises(TokenInvalid):
        await checks.verify("no.token.atall")
