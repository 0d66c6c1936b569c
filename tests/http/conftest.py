"""A whole HTTP API over a real store, driven without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """An API with an empty store."""
    async with open_site(tmp_path) as site:
        yield site
