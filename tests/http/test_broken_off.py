"""Requests whose client goes away before their end."""

import logging
from typing import Any

import pytest

from tests.http.site import Site


async def test_a_client_that_leaves_amid_its_body(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """That is no fault of ours, and no line for it is in the log."""
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    path = "/api/v1/auth/login"
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"test"), (b"content-length", b"50"), (b"content-type", b"application/json")],
        "client": ("192.0.2.1", 1),
        "server": ("test", 80),
    }
    with caplog.at_level(logging.INFO, logger="hubbub"):
        await site.app(scope, receive, send)
    assert [one["status"] for one in sent if "status" in one] == [400]
    assert caplog.records == []
