"""Origins, CORS and addresses: the same rule on every method and transport."""

import json
import logging
from dataclasses import replace
from ipaddress import ip_network

import pytest

from hubbub.engineio.origins import client_address, origin_allowed
from hubbub.engineio.requests import Request
from tests.engineio.harness import (
    CONFIG,
    Poller,
    Running,
    Socket,
    polling_url,
    request,
    running,
    websocket_url,
)

ALLOWED = frozenset({"https://app.example", "https://other.example:8443"})
PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def asking(peer: str = "127.0.0.1", *, secure: bool = False, **headers: str) -> Request:
    """A request with these headers (`_` for `-`)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", "/", "", named, peer, secure)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("https://other.example:8443", True),
        ("http://here.example", True),
        ("https://here.example", False),
        ("http://app.example", False),
        ("https://app.example:8443", False),
        ("https://other.example", False),
        ("https://app.example.evil.example", False),
        ("https://evil.example/https://app.example", False),
        ("https://evilapp.example", False),
        ("https://app.example`.evil.example", False),
        ("https://app.example$", False),
        ("https://app.example, https://app.example", False),
        ("HTTPS://APP.EXAMPLE", False),
        ("null", False),
        ("", False),
        ("*", False),
    ],
)
def test_exact_origins(origin: str, allowed: bool) -> None:
    """Only exact matches pass, and the server's own origin (hostile input 24)."""
    config = replace(CONFIG, allowed_origins=ALLOWED)
    assert origin_allowed(asking(host="here.example", origin=origin), config) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:5173", True),
        ("http://localhost", True),
        ("http://[::1]:8080", True),
        ("http://[::1]", True),
        ("https://localhost:5173", False),
        ("http://localhost:", False),
        ("http://localhost:5173x", False),
        ("http://localhost:5173/", False),
        ("http://localhost:5173:5173", False),
        ("http://localhost.evil.example:5173", False),
        ("http://evil.example:5173", False),
        ("http://localhost:*", False),
        ("http://[::2]:8080", False),
    ],
)
def test_any_port(origin: str, allowed: bool) -> None:
    """An origin that is allowed with `:*` passes on every port, by the same scheme and host."""
    config = replace(CONFIG, allowed_origins=frozenset({"http://localhost:*", "http://[::1]:*"}))
    assert origin_allowed(asking(host="here.example", origin=origin), config) is allowed


def test_no_origin_passes() -> None:
    """Native clients send no Origin."""
    assert origin_allowed(asking(host="here.example"), CONFIG)


def test_own_origin_behind_a_proxy() -> None:
    """A trusted proxy's word on scheme and host makes the own origin; anybody else's word does not."""
    config = replace(CONFIG, trusted_proxies=PROXIES)

    def forwarded(peer: str) -> Request:
        return asking(
            peer,
            host="inner",
            origin="https://chat.example",
            x_forwarded_proto="https",
            x_forwarded_host="chat.example",
        )

    assert origin_allowed(forwarded("10.1.2.3"), config)
    assert not origin_allowed(forwarded("192.0.2.9"), config)
    assert origin_allowed(asking(secure=True, host="chat.example", origin="https://chat.example"), config)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.9", "", "192.0.2.9"),
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "evil, 10.0.0.2", "10.0.0.2"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("", "198.51.100.1", ""),
        ("::ffff:192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_client_address(peer: str, forwarded: str, address: str) -> None:
    """X-Forwarded-For counts only from trusted peers, read from the right (hostile input 25)."""
    config = replace(CONFIG, trusted_proxies=PROXIES)
    assert client_address(asking(peer, x_forwarded_for=forwarded), config) == address


async def _ask(server: Running, way: str, sid: str, headers: dict[str, str]) -> int:
    if way in ("websocket", "upgrade"):
        return (
            await Socket.connect(server.port, websocket_url(sid if way == "upgrade" else ""), headers)
        ).answer.status
    target = polling_url("" if way == "handshake" else sid)
    method = {"post": "POST", "preflight": "OPTIONS"}.get(way, "GET")
    return (await request(server.port, method, target, b"4x" if way == "post" else b"", headers)).status


@pytest.mark.parametrize("way", ["handshake", "poll", "post", "preflight", "websocket", "upgrade"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil.example"])
async def test_foreign_origins_everywhere(way: str, origin: str) -> None:
    """A page that is not allowed gets 403, whichever method and transport it tries."""
    async with running(allowed_origins=ALLOWED) as server:
        client = await Poller.open(server.port)
        assert await _ask(server, way, client.sid, {"origin": origin}) == 403
        assert (await client.post("4works")).status == 200
        assert server.application.messages == ["works"]


async def test_a_foreign_origin_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    """The answer names the setting, the log also the origin, once a minute whatever pages ask."""
    caplog.set_level(logging.INFO, "hubbub")
    async with running(allowed_origins=ALLOWED) as server:
        for _ in range(3):
            reply = await request(
                server.port, "GET", polling_url(), headers={"origin": "https://evil.example"}
            )
            assert json.loads(reply.body) == {
                "code": 4,
                "message": "Origin not allowed; see allowed_origins",
            }
    [line] = [record.getMessage() for record in caplog.records if "origin" in record.getMessage()]
    assert "'https://evil.example'" in line
    assert "allowed_origins" in line


@pytest.mark.parametrize("way", ["handshake", "post", "preflight", "websocket", "upgrade"])
async def test_allowed_origins_everywhere(way: str) -> None:
    """An allowed page is served on every way."""
    async with running(allowed_origins=ALLOWED) as server:
        client = await Poller.open(server.port)
        status = await _ask(server, way, client.sid, {"origin": "https://app.example"})
        assert status in (200, 204, 101)


async def test_cors_headers() -> None:
    """An allowed page may read the answers, with credentials, errors included; others are told nothing."""
    async with running(allowed_origins=ALLOWED) as server:
        headers = {"origin": "https://app.example"}
        for reply in (
            await request(server.port, "GET", polling_url(), headers=headers),
            await request(server.port, "GET", polling_url("nobody"), headers=headers),
        ):
            assert reply.headers["access-control-allow-origin"] == "https://app.example"
            assert reply.headers["access-control-allow-credentials"] == "true"
            assert reply.headers["vary"] == "Origin"
        foreign = await request(server.port, "GET", polling_url(), headers={"origin": "https://evil.example"})
        assert not any(name.startswith("access-control") for name in foreign.headers)
        plain = await request(server.port, "GET", polling_url())
        assert not any(name.startswith("access-control") for name in plain.headers)


async def test_preflight() -> None:
    """An OPTIONS request tells what an allowed page may send, and needs no session."""
    async with running(allowed_origins=ALLOWED) as server:
        asked = {"origin": "https://app.example", "access-control-request-headers": "content-type,x-mine"}
        reply = await request(server.port, "OPTIONS", polling_url("whoever"), headers=asked)
        assert reply.status == 204
        assert reply.headers["access-control-allow-methods"] == "GET, POST"
        assert reply.headers["access-control-allow-headers"] == "content-type,x-mine"
        assert reply.headers["access-control-allow-credentials"] == "true"
        assert (await request(server.port, "OPTIONS", "/other", headers=asked)).status == 404


async def test_any_origin() -> None:
    """`*` lets any page in, but none with the user's cookies."""
    async with running(allowed_origins=frozenset({"*"})) as server:
        reply = await request(server.port, "GET", polling_url(), headers={"origin": "https://any.example"})
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in reply.headers


async def test_handshake_facts() -> None:
    """The application sees who opened the session: address, headers, query, on both transports alike."""
    async with running(trusted_proxies=(ip_network("127.0.0.0/8"),)) as server:
        headers = {"x-forwarded-for": "203.0.113.5, 198.51.100.1", "user-agent": "tester", "x-a": "b: c"}
        await request(server.port, "GET", polling_url() + "&token=t%20t", headers=headers)
        await Socket.connect(server.port, websocket_url() + "&token=t%20t", headers)
        for session, transport in zip(server.application.sessions, ("polling", "websocket"), strict=True):
            handshake = session.handshake
            assert handshake.address == "198.51.100.1"
            assert handshake.headers["user-agent"] == "tester"
            assert handshake.headers["x-a"] == "b: c"
            assert handshake.query["token"] == "t t"
            assert handshake.raw_query == f"EIO=4&transport={transport}&token=t%20t"
            assert handshake.transport == session.transport == transport
