"""Nothing that a client can send is a defect: whatever it is, the answer is an ordinary one."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubbub.contract import rest
from hubbub.contract.errors import RequestError
from hubbub.http.bodies import decode
from tests.http.site import open_site

BODIES = (
    rest.Register,
    rest.LogIn,
    rest.Refresh,
    rest.NewUser,
    rest.UserChange,
    rest.NewChat,
    rest.ChatChange,
)
NAMES = ("username", "password", "email", "refreshToken", "role", "active", "name", "description", "isPublic")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(
    st.sampled_from((*NAMES, "participants", "archived", "userId")) | st.text(max_size=8), VALUES
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ROUTES = (
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("POST", "/users"),
    ("PATCH", "/users/{0}"),
    ("GET", "/users?login={0}&limit={1}&cursor={2}"),
    ("POST", "/chats"),
    ("GET", "/chats?limit={0}&cursor={1}&all={2}"),
    ("GET", "/chats/{0}"),
    ("PATCH", "/chats/{0}"),
    ("PATCH", "/chats/CHAT"),
    ("POST", "/chats/CHAT/participants"),
    ("DELETE", "/chats/CHAT/participants/{0}"),
    ("GET", "/chats/CHAT/participants?cursor={0}&limit={1}"),
    ("GET", "/chats/CHAT/messages?before={0}&after={1}&limit={2}"),
    ("GET", "/monitoring/metrics?node={0}"),
    ("GET", "/monitoring/events?userId={0}&ip={1}&limit={2}"),
    ("GET", "/monitoring/events?type={0}&node={1}"),
)


@pytest.mark.parametrize("wanted", BODIES)
@given(body=st.binary(max_size=200) | OBJECTS.map(msgspec.json.encode))
@settings(max_examples=60, deadline=None)
def test_any_body(wanted: type[rest.Body], body: bytes) -> None:
    """A body is what was wanted, or refused with the reason; whatever is accepted can be stored as text."""
    refused = None
    try:
        msgspec.json.encode(decode(body, wanted))
    except RequestError as refusal:
        refused = refusal
    assert refused is None or refused.details


async def test_any_request(tmp_path: Path) -> None:
    """No request is answered by a failure of ours, whatever stands in its path, query and body."""
    async with open_site(tmp_path) as site:
        admin = await site.user("root", "admin")
        chat = await admin.chat()

        def asked() -> Any:
            return st.tuples(st.sampled_from(ROUTES), st.lists(TEXTS, min_size=3, max_size=3), OBJECTS)

        answered: list[int] = []
        for (method, path), texts, body in examples(asked(), 150):
            filled = path.replace("CHAT", chat).format(*(quote(text, safe="") for text in texts))
            response = await admin.ask(method, filled, None if method in ("GET", "DELETE") else body)
            assert response.status_code < 500 or response.json()["code"] == "UNAVAILABLE", (
                method,
                filled,
                body,
            )
            if response.status_code >= 400:
                assert response.json()["success"] is False
            answered.append(response.status_code)
        assert len(set(answered)) > 2


def examples(strategy: Any, count: int) -> list[Any]:
    """That many examples of a strategy, the same in every run."""
    found: list[Any] = []

    @given(strategy)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found
