"""The HTTP door as such: failures, strict bodies, origins, headers, health, metrics, pages."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from hubbub.http.bodies import MAX_BODY
from hubbub.settings import Rate
from hubbub.store.base import StoreUnavailable
from tests.http.site import ALLOWED, Site, open_site


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b'"name"',
        b"name=x",
        b"\xff\xfe",
        b'{"name":"\xff"}',
        b'{"name":"x"} x',
        b'{"name":"x","x":NaN}',
        b'{"name":"x","x":Infinity}',
        b'{"name":"x","x":1e400}',
        b'{"name":"x","x":' + b"9" * 5000 + b"}",
        b'{"name":"\\ud800"}',
        b'{"name":"x","x":"\\ud800"}',
        b'{"name":"x","name":"y"}',
        b'{"name":"x","x":{"a":1,"a":2}}',
        b'{"name":"x","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
)
async def test_a_hostile_body_is_refused(site: Site, body: bytes) -> None:
    """Whatever is sent in a body's place, the answer is an ordinary refusal, and the log stays silent."""
    ann = await site.user("ann")
    failure = await ann.refused(400, "INVALID_REQUEST", "POST", "/chats", content=body)
    assert failure["message"] == "Invalid request data"


async def test_unknown_fields_are_ignored(site: Site) -> None:
    """Fields that nobody knows do no harm, whatever they are called."""
    ann = await site.user("ann")
    await ann.done(
        "POST", "/chats", {"name": "x", "__proto__": {}, "constructor": 1, "__class__": [], "x": 2**70}
    )


async def test_bodies_have_a_size(site: Site) -> None:
    """A body of the greatest size is read, one byte more is not, however its length is told."""
    ann = await site.user("ann")
    begin, end = b'{"name":"x","x":"', b'"}'
    fitting = begin + b"x" * (MAX_BODY - len(begin) - len(end)) + end
    await ann.done("POST", "/chats", content=fitting)

    async def in_pieces() -> Any:
        yield fitting
        yield b" "

    for content in (fitting + b" ", in_pieces()):
        response = await ann.ask("POST", "/chats", content=content)
        assert (response.status_code, response.json()["code"]) == (413, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("Basic YTpi", "is missing"),
        ("Bearer", "is missing"),
        ("Bearer ", "is missing"),
        ("Bearer x", "not valid"),
        ("Bearer " + "x" * 9000, "not valid"),
    ],
)
async def test_without_a_good_token(site: Site, header: str | None, problem: str) -> None:
    """Whoever has no good token is told so, with the challenge that RFC 6750 wants."""
    headers = {} if header is None else {"Authorization": header}
    response = await site.nobody().ask("GET", "/chats", headers=headers)
    assert response.status_code == 401
    failure = response.json()
    assert (failure["message"], failure["code"]) == ("User not authenticated", "UNAUTHENTICATED")
    assert problem in failure["details"][0]["problem"]
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert ("invalid_token" in response.headers["www-authenticate"]) == ("valid" in problem)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/chats/x/y", 404, "NOT_FOUND"),
        ("PUT", "/chats", 405, "INVALID_REQUEST"),
        ("DELETE", "/auth/login", 405, "INVALID_REQUEST"),
        ("BREW", "/chats", 405, "INVALID_REQUEST"),
    ],
)
async def test_no_such_route(site: Site, method: str, path: str, status: int, code: str) -> None:
    """Unknown paths and methods fail in the same shape as everything else."""
    await site.nobody().refused(status, code, method, path)


async def test_the_request_rate_holds(tmp_path: Path) -> None:
    """Requests over HTTP count with all the others of a user."""
    async with open_site(tmp_path, request_rate=Rate(3, 60)) as site:
        ann, bob = await site.user("ann"), await site.user("bob")
        for _ in range(3):
            await ann.done("GET", "/chats")
        response = await ann.ask("GET", "/chats")
        failure = response.json()
        assert (response.status_code, failure["code"]) == (429, "RATE_LIMITED")
        assert failure["message"] == "Request rate limit exceeded. Please slow down."
        assert response.headers["retry-after"] == str(failure["retryAfter"])
        await bob.done("GET", "/chats")


async def test_a_failing_store(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the database cannot be used the answer is when to come again."""
    ann = await site.user("ann")

    async def fail(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(site.store, "chats_of", fail)
    response = await ann.ask("GET", "/chats")
    assert (response.status_code, response.json()["code"]) == (503, "UNAVAILABLE")
    assert response.headers["retry-after"] == "1"


async def test_a_defect_tells_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect of ours is told by a number only, under which the log has the rest."""
    ann = await site.user("ann")

    async def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(site.store, "chats_of", fail)
    failure = await ann.refused(500, "INTERNAL", "GET", "/chats")
    assert failure.keys() == {"success", "message", "code", "correlationId"}
    assert failure["message"] == "Internal server error"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert failure["correlationId"] in record.getMessage()
    assert record.exc_info is not None


async def test_what_a_client_does_wrong_is_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """No refusal leaves a line, so nobody can fill the log."""
    ann = await site.user("ann")
    for method, path, body in (
        ("GET", "/nothing", None),
        ("PUT", "/chats", None),
        ("POST", "/chats", {"name": 5}),
        ("GET", "/chats?limit=x", None),
        ("GET", "/chats/nothing", None),
    ):
        await ann.ask(method, path, body)
    await site.nobody().ask("GET", "/chats")
    await ann.ask("POST", "/chats", content=b"x" * (MAX_BODY + 1))
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", ALLOWED + ".evil.example", ALLOWED + "/", "*"]
)
async def test_foreign_pages_change_and_read_nothing(site: Site, origin: str) -> None:
    """A page of a foreign origin may not ask for a change, and no browser shows it an answer."""
    ann = await site.user("ann")
    headers = {"Origin": origin}
    for method, path, body in (
        ("POST", "/chats", {"name": "x"}),
        ("POST", "/auth/login", {"username": "ann", "password": "x"}),
        ("PATCH", "/chats/x", {"name": "x"}),
        ("DELETE", "/chats/x/participants/x", None),
    ):
        failure = await ann.refused(403, "FORBIDDEN", method, path, body, headers=headers)
        assert failure["message"] == "Origin not allowed; see allowed_origins"
    response = await ann.ask("GET", "/chats", headers=headers)
    assert response.json()["chats"] == []
    assert "access-control-allow-origin" not in response.headers
    asked = {**headers, "Access-Control-Request-Method": "POST"}
    response = await site.nobody().ask("OPTIONS", "/chats", headers=asked)
    assert (response.status_code, response.headers.get("access-control-allow-methods")) == (403, None)


async def test_allowed_pages(site: Site) -> None:
    """A page of an allowed origin may ask first, then send its token, and read the answer, failures too."""
    ann = await site.user("ann")
    headers = {"Origin": ALLOWED}
    asked = {
        **headers,
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization",
    }
    response = await site.nobody().ask("OPTIONS", "/chats/x/participants/y", headers=asked)
    assert response.status_code == 204
    assert "DELETE" in response.headers["access-control-allow-methods"]
    assert "authorization" in response.headers["access-control-allow-headers"]
    for answer in (
        response,
        await ann.ask("POST", "/chats", {"name": "x"}, headers=headers),
        await ann.ask("POST", "/chats", {"name": 5}, headers=headers),
        await ann.ask("GET", "/nothing", headers=headers),
    ):
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers


async def test_security_headers(site: Site) -> None:
    """Answers are not stored, sniffed, framed or run."""
    for path in ("/health/live", "/nothing", "/chats"):
        response = await site.nobody().ask("GET", path)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in response.headers


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
async def test_health(site: Site, prefix: str) -> None:
    """Probes need no token; being alive is told apart from being ready."""
    response = await site.http.get(f"{prefix}/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    response = await site.http.get(f"{prefix}/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "problems": []})
    site.problems.append("draining")
    response = await site.http.get(f"{prefix}/health/ready")
    assert (response.status_code, response.json()) == (
        503,
        {"status": "unavailable", "problems": ["draining"]},
    )
    assert (await site.http.get(f"{prefix}/health/live")).status_code == 200


async def scraped(site: Site, prefix: str = "") -> dict[str, float]:
    """All samples of a scrape."""
    response = await site.http.get(f"{prefix}/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_metrics(site: Site) -> None:
    """A scrape reads what the parts count, at the moment of the scrape."""
    values = {"gauge": 3.0, "counter": 5.0}
    labelled: dict[tuple[str, ...], float] = {("join:chat", "OK"): 2}
    site.metrics.gauge("test_gauge", "A gauge.", lambda: values["gauge"])
    site.metrics.counter("test_things", "A counter.", lambda: values["counter"])
    site.metrics.counters("test_answers", "By labels.", ("event", "code"), lambda: labelled)
    durations = site.metrics.durations("test_seconds", "A histogram.", "event", ["join:chat"])
    for seconds in (0.0005, 0.0006, 99.0):
        durations.observe("join:chat", seconds)
    durations.observe("made up by a client", 0.1)
    values["gauge"] = 4.0
    found = await scraped(site, "/api/v1")
    assert found["test_gauge"] == 4
    assert found["test_things_total"] == 5
    assert found['test_answers_total{code="OK",event="join:chat"}'] == 2
    assert found['test_seconds_bucket{event="join:chat",le="0.0005"}'] == 1
    assert found['test_seconds_bucket{event="join:chat",le="0.001"}'] == 2
    assert found['test_seconds_bucket{event="join:chat",le="+Inf"}'] == 3
    assert found['test_seconds_count{event="join:chat"}'] == 3
    assert found['test_seconds_sum{event="join:chat"}'] == pytest.approx(99.0011)
    assert found['test_seconds_count{event="other"}'] == 1
    assert "process_resident_memory_bytes" in found


async def test_clients_make_no_metrics(site: Site) -> None:
    """Paths and methods made up by clients add no time series."""
    ann = await site.user("ann")
    await ann.done("GET", "/chats")
    await scraped(site)
    before = (await scraped(site)).keys()
    for number in range(20):
        await ann.ask("GET", f"/chats/{number}")
        await ann.ask("GET", f"/made-up-{number}")
        await ann.ask(f"BREW{number}", "/chats")
    after = (await scraped(site)).keys()
    new = [re.search(r'route="([^"]*)"', name) for name in after - before]
    assert {found and found[1] for found in new} == {
        "GET /api/v1/chats/{chat_id}",
        "other",
    }


async def test_openapi_names_everything(site: Site) -> None:
    """The document has every route, fields by their names on the wire, and no examples made up."""
    response = await site.http.get("/api/v1/schema/openapi.json")
    document = response.json()
    routes = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, item in document["paths"].items()
        for method in item
    }
    assert routes == {
        "POST /auth/register",
        "POST /auth/login",
        "POST /auth/refresh",
        "GET /auth/me",
        "GET /users",
        "POST /users",
        "PATCH /users/{user_id}",
        "POST /chats",
        "GET /chats",
        "GET /chats/{chat_id}",
        "PATCH /chats/{chat_id}",
        "GET /chats/{chat_id}/participants",
        "POST /chats/{chat_id}/participants",
        "DELETE /chats/{chat_id}/participants/{user_id}",
        "GET /chats/{chat_id}/messages",
        *(f"GET /monitoring/{name}" for name in ("metrics", "events", "stats", "health", "nodes")),
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
    }
    schemas = document["components"]["schemas"]
    assert {"name", "description", "isPublic", "participants"} == schemas["NewChat"]["properties"].keys()
    assert {"success", "message", "code", "details", "retryAfter", "correlationId"} == schemas["Failure"][
        "properties"
    ].keys()
    login = document["paths"]["/api/v1/auth/login"]["post"]
    assert login["security"] == [{}]
    assert document["security"] == [{"bearer": []}]
    assert "example" not in response.text


@pytest.mark.parametrize("path", ["/", "/api/v1/docs", "/api/v1/docs/docs.js", "/api/v1/docs/docs.css"])
async def test_pages_need_nothing_from_elsewhere(site: Site, path: str) -> None:
    """Pages work without the internet: every address in them is this server's, and the policy says so."""
    response = await site.http.get(path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "'unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"https?://", response.text)
    for link in re.findall(r'(?:href|src)="([^"#]+)"', response.text):
        assert (await site.http.get(link)).status_code == 200, link


async def test_requests_side_by_side(site: Site) -> None:
    """Many at once are all answered, each with its own."""
    callers = [await site.user(f"user-{number}") for number in range(10)]
    answers: list[httpx.Response] = await asyncio.gather(
        *(caller.ask("POST", "/chats", {"name": f"of {caller.id}"}) for caller in callers for _ in range(5))
    )
    assert all(answer.status_code == 201 for answer in answers)
    for caller in callers:
        chats = (await caller.done("GET", "/chats"))["chats"]
        assert [chat["name"] for chat in chats] == [f"of {caller.id}"] * 5


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/api/v1/docs", "text/html; charset=utf-8"),
        ("/api/v1/docs/docs.css", "text/css; charset=utf-8"),
        ("/api/v1/docs/docs.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_kinds_of_pages(site: Site, path: str, kind: str) -> None:
    """Each page says what it is, once."""
    response = await site.http.get(path)
    assert response.headers["content-type"] == kind
