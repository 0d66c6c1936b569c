"""What a node tells the others of where it is."""

import secrets

import pytest

from hubbub.app.inner import inner_door
from hubbub.settings import Settings


@pytest.mark.parametrize(
    ("host", "node_host", "told"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("0.0.0.0", None, "127.0.0.1"),
        ("::", None, "127.0.0.1"),
        ("0.0.0.0", "node1.example", "node1.example"),
    ],
)
def test_the_place(host: str, node_host: str | None, told: str) -> None:
    """The address listened on; for all of them the one on the way to Valkey; or as the settings say."""
    settings = Settings(host=host, node_host=node_host, valkey_url="redis://127.0.0.1:6379")
    with inner_door(settings) as door:
        assert door is not None
        listening, place = door
        assert (place.host, place.port) == (told, listening.getsockname()[1])
        assert len(place.key) == len(secrets.token_bytes(32))
    with inner_door(settings) as again:
        assert again is not None
        assert again[1].key != place.key


def test_alone() -> None:
    """A node without others has no such door."""
    with inner_door(Settings()) as door:
        assert door is None
