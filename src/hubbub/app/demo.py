"""The development profile's first chat: a public one, a user to try it, and a banner that says how."""

import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hubbub.app.build import Built
from hubbub.contract.values import Role, now
from hubbub.store import records

# The id that the API's own example uses: pasted as it stands, it works.
CHAT_ID = "chat-uuid"
USER_ID = "demo"
_TOKEN_LIFE = 7 * 86_400.0


async def prepare(built: Built, url: str) -> None:
    """Make the demo chat and its user if need be, and print a banner with a token and a snippet."""
    user = records.User(
        id=USER_ID, username=USER_ID, email=None, role=Role.USER, active=True, created_at=now()
    )
    await built.store.ensure_user(user)
    if await built.store.chat(CHAT_ID) is None:
        await built.store.create_chat(_chat(), [_owner()])
    if not built.chat.requests.tokens.can_issue:
        return
    token, _ = built.chat.requests.tokens.issue(user, _TOKEN_LIFE)
    Console(stderr=True).print(banner(url, token), soft_wrap=True)


def _chat() -> records.Chat:
    return records.Chat(
        id=CHAT_ID,
        name="Demo",
        description="A public chat to try things in",
        is_public=True,
        created_by=USER_ID,
        created_at=now(),
        archived_at=None,
        last_seq=0,
        last_activity=now(),
        member_count=1,
    )


def _owner() -> records.Member:
    return records.Member(chat_id=CHAT_ID, user_id=USER_ID, role=Role.ADMIN, joined_at=now(), joined_seq=0)


def banner(url: str, token: str) -> Text:
    """Return the banner; its lines are not broken, so that the snippet can be pasted."""
    snippet = f"""\
import {{ io }} from "socket.io-client"; // npm install socket.io-client

const token = "{token}";
const socket = io("{url}/chat", {{ auth: {{ token }} }});
socket.on("message:new", (message) => console.log(message.user.username + ":", message.content));
socket.emit("join:chat", {{ chatId: "{CHAT_ID}" }}, console.log);
socket.emit("message:send", {{ chatId: "{CHAT_ID}", content: "Hello, world!" }}, console.log);
"""
    return Text.assemble(
        ("hubbub, development profile\n", "bold"),
        f"No connection limit; a public chat with the id {CHAT_ID}; the HTTP API is at {url}/\n\n",
        (snippet, "cyan"),
        f"\nA token for somebody else: {program()} token --username NAME\n",
    )


def program() -> str:
    """How this program was called, which is how it can be called again from the same folder."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{Path(sys.executable).name} -m hubbub"
    return called.name if shutil.which(called.name) == str(called) else str(called)
