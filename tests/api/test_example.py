"""The document's "Client Implementation Example", as users paste it: it joins, sends and types."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.harness.inbox import PATIENCE
from tests.harness.servers import Server
from tests.harness.users import User, new_user
from tests.harness.world import World

pytestmark = pytest.mark.node

JS = Path(__file__).parent.parent / "js"


def pasted(folder: Path, server: Server, user: User, chat_id: str) -> Path:
    """The example with address, token and chat put in, in a folder beside the npm client."""
    text = (JS / "example.mjs").read_text(encoding="utf-8")
    for placeholder, value in (
        ("ws://localhost:3001", server.url.replace("http", "ws")),
        ("your-jwt-token", user.token()),
        ("chat-uuid", chat_id),
    ):
        assert placeholder in text
        text = text.replace(placeholder, value)
    (folder / "node_modules").symlink_to(JS / "node_modules")
    script = folder / "client.mjs"
    script.write_text(text, encoding="utf-8")
    return script


async def test_example(world: World, tmp_path: Path) -> None:
    """It prints that it is connected and its own message; another member sees it enter, speak and type."""
    user = new_user("reader")
    chat_id, (peer,) = await world.room_of(new_user())
    await world.rest.add(peer.user, chat_id, user)
    process = await asyncio.create_subprocess_exec(
        *("node", str(pasted(tmp_path, world.server, user, chat_id))),
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await peer.wait("user:joined", userId=user.id)
        message = await peer.wait("message:new", userId=user.id)
        assert (message["content"], message["type"]) == ("Hello, world!", "text")
        await peer.wait("user:typing", userId=user.id, isTyping=True)
        printed = await read_until(process, "New message:")
        assert printed.startswith("Connected to WebSocket")
        assert "Error" not in printed
    finally:
        process.terminate()
        await process.communicate()


async def read_until(process: asyncio.subprocess.Process, words: str) -> str:
    """What the process printed up to the line with those words."""
    assert process.stdout is not None
    printed = ""
    async with asyncio.timeout(PATIENCE):
        while words not in printed:
            line = await process.stdout.readline()
            assert line, f"it ended after {printed}"
            printed += line.decode()
    return printed
