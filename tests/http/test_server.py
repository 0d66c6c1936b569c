"""The HTTP API of a real server: origins, addresses behind proxies, sizes."""

import json
from collections.abc import Iterator

import httpx
import pytest

from hubbub.http.bodies import MAX_BODY
from hubbub.settings import Settings
from tests.cli.command import serving

ALLOWED = "https://chat.example.com"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server with the production profile that one foreign origin may use."""
    folder = tmp_path_factory.mktemp("data")
    with serving(folder, HUBBUB_ALLOWED_ORIGINS=ALLOWED) as url, httpx.Client(base_url=url) as client:
        yield client


def test_origins(http: httpx.Client) -> None:
    """Pages of this server and of allowed origins may ask for changes, others not; programs always may."""
    own = str(http.base_url).rstrip("/")
    for origin, status in (
        (None, 400),
        (own, 400),
        (ALLOWED, 400),
        ("https://evil.example", 403),
        ("null", 403),
    ):
        headers = {} if origin is None else {"Origin": origin}
        response = http.post("/api/v1/auth/register", json={}, headers=headers)
        assert response.status_code == status, origin
        shown = response.headers.get("access-control-allow-origin")
        assert shown == (origin if status == 400 else None)


def test_the_server_says_nothing_of_itself(http: httpx.Client) -> None:
    """Neither its name nor its version is in the headers, and HEAD is answered as GET without the content."""
    response = http.head("/health/live")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(http.get("/health/live").content))
    assert "server" not in response.headers


def test_sizes(http: httpx.Client) -> None:
    """A body too large is refused, and the server goes on."""
    body = json.dumps({"name": "x" * MAX_BODY})
    response = http.post("/api/v1/auth/register", content=body)
    assert (response.status_code, response.json()["code"]) == (413, "INVALID_REQUEST")
    assert http.get("/health/ready").json()["status"] == "ok"


def test_guesses_are_counted_by_the_true_address(http: httpx.Client) -> None:
    """Whoever makes addresses up in X-Forwarded-For is counted all the same: no proxy is trusted here."""
    statuses = []
    rate = Settings().login_address_rate
    assert rate is not None
    for number in range(rate.count + 1):
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        body = {"username": f"nobody-{number}", "password": "x"}
        statuses.append(http.post("/api/v1/auth/login", json=body, headers=headers).status_code)
    assert statuses == [401] * rate.count + [429]


def test_registering_is_counted_too(http: httpx.Client) -> None:
    """Registering stands under the same count as guessing, and the metrics show the routes."""
    rate = Settings().login_address_rate
    assert rate is not None
    guess = {"username": "nobody", "password": "x"}
    for _ in range(rate.count):
        http.post("/api/v1/auth/login", json=guess)
    response = http.post("/api/v1/auth/register", json={"username": "ann", "password": "correct horse"})
    assert response.status_code == 429
    text = http.get("/metrics").text
    assert 'route="POST /api/v1/auth/login"' in text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(samples["hubbub_sockets"]) == 0
    assert float(samples["hubbub_messages_total"]) == 0
    assert float(samples["hubbub_commit_operations_total"]) >= float(samples["hubbub_commits_total"]) > 0
    assert 0 < float(samples["hubbub_commit_seconds_total"]) < 60
