"""The npm client in its three ways of connecting: all it can notice of the library works."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.socketio.harness import serving
from tests.socketio.playground import Playground

SCRIPT = Path(__file__).parent.parent / "js" / "socketio_client.mjs"


@pytest.mark.node
@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="-".join)
async def test_npm_client(transports: list[str]) -> None:
    """Refusal, acknowledgements and binary both ways, order, rooms, state recovery, disconnection."""
    playground = Playground()
    async with serving(playground.server) as address:
        node = await asyncio.create_subprocess_exec(
            "node",
            str(SCRIPT),
            f"http://{address}",
            json.dumps(transports),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(node.communicate(), 30)
        assert node.returncode == 0, errors.decode()
        assert json.loads(out) == {
            "refused": ["Unauthorized", {"code": "INVALID_TOKEN"}],
            "unknown": "Invalid namespace",
            "welcome": True,
            "echo": ["text", 1.5, {"deep": [None, True]}, "\u2028é😀"],
            "binary": [{"bytes": [1, 2]}, {"bytes": [0, 0, 0]}],
            "asked": ["why!", {"bytes": [8, 9]}],
            "burst": True,
            "transport": transports[-1],
            "order": True,
            "shouted": [{"n": 1}, {"bytes": [7]}],
            "recovered": [True, True, [1, 2, 3, 4]],
            "kicked": "io server disconnect",
        }
        recovery = [auth for auth in playground.auths if "pid" in auth]
        assert [(auth["offset"], auth["token"]) for auth in recovery] == [("1", "good")]
    assert sorted(playground.gone)[:1] == ["client namespace disconnect"]
