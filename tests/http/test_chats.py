"""Chats over HTTP: who may make, see, change and leave them, and who is told."""

import asyncio
import re
from typing import Any
from urllib.parse import quote

import pytest

from hubbub.chat.chats import LAST_ADMIN
from hubbub.store import records
from tests.http.site import Caller, Site

HIDDEN = "Chat not found or access denied"


async def test_a_new_chat(site: Site) -> None:
    """Whoever makes a chat is its admin; the participants named are ordinary members, each once."""
    ann, bob = await site.user("ann"), await site.user("bob")
    body = {"name": " Team\n ", "description": " about\nwork ", "participants": [bob.id, bob.id, ann.id]}
    response = await ann.ask("POST", "/chats", body)
    assert response.status_code == 201
    chat = response.json()
    assert re.fullmatch(r"[0-9a-f-]{36}", chat["id"])
    facts = (
        "name",
        "description",
        "isPublic",
        "isActive",
        "createdBy",
        "lastSeq",
        "participantCount",
        "role",
    )
    assert [chat[fact] for fact in facts] == ["Team", "about\nwork", False, True, ann.id, 0, 2, "admin"]
    participants = (await ann.done("GET", f"/chats/{chat['id']}/participants"))["participants"]
    assert {(one["userId"], one["username"], one["role"]) for one in participants} == {
        (ann.id, "ann", "admin"),
        (bob.id, "bob", "user"),
    }
    assert await ann.done("GET", f"/chats/{chat['id']}") == chat


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": " \n\x00"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 5}, "name"),
        ({"description": 5}, "description"),
        ({"description": "x" * 1001}, "description"),
        ({"isPublic": "true"}, "isPublic"),
        ({"isPublic": 1}, "isPublic"),
        ({"isPublic": None}, "isPublic"),
        ({"participants": "u1"}, "participants"),
        ({"participants": [5]}, "participants"),
        ({"participants": [{"$ne": None}]}, "participants"),
        ({"participants": ["x\n"]}, "participants"),
        ({"participants": ["x"] * 501}, "participants"),
    ],
)
async def test_what_is_no_chat(site: Site, change: dict[str, Any], field: str) -> None:
    """A wrong field is named by its name on the wire, and nothing is stored."""
    ann = await site.user("ann")
    failure = await ann.refused(400, "INVALID_REQUEST", "POST", "/chats", {"name": "x", **change})
    assert failure["message"] == "Invalid request data"
    assert failure["details"][0]["field"].partition("[")[0] == field
    assert (await ann.done("GET", "/chats"))["chats"] == []


async def test_an_unknown_participant(site: Site) -> None:
    """A chat is made with all its participants or not at all."""
    ann = await site.user("ann")
    body = {"name": "x", "participants": ["nobody"]}
    failure = await ann.refused(404, "NOT_FOUND", "POST", "/chats", body)
    assert failure["message"] == "User not found"
    assert (await ann.done("GET", "/chats"))["chats"] == []


async def test_a_hidden_chat_looks_like_none(site: Site) -> None:
    """Whatever an outsider asks of a chat, the answer is the one for a chat that there is not."""
    ann, eve = await site.user("ann"), await site.user("eve")
    chat = await ann.chat()
    for chat_id in (chat, "nothing", "0192f0c1-0000-7000-8000-000000000000"):
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"name": "mine"}),
            ("GET", "/participants", None),
            ("POST", "/participants", {"userId": eve.id}),
            ("DELETE", f"/participants/{ann.id}", None),
            ("DELETE", f"/participants/{eve.id}", None),
            ("GET", "/messages", None),
        ):
            failure = await eve.refused(404, "NOT_FOUND", method, f"/chats/{chat_id}{path}", body)
            assert failure == {"success": False, "message": HIDDEN, "code": "NOT_FOUND"}
    assert (await eve.done("GET", "/chats"))["chats"] == []


async def test_a_public_chat_can_be_seen_but_not_read(site: Site) -> None:
    """Anybody may look at a public chat's facts; its messages are for those who joined."""
    ann, eve = await site.user("ann"), await site.user("eve")
    chat = await ann.chat(isPublic=True)
    seen = await eve.done("GET", f"/chats/{chat}")
    assert (seen["role"], seen["isPublic"]) == (None, True)
    await eve.refused(404, "NOT_FOUND", "GET", f"/chats/{chat}/messages")
    await eve.refused(403, "FORBIDDEN", "PATCH", f"/chats/{chat}", {"name": "mine"})
    await eve.refused(403, "FORBIDDEN", "POST", f"/chats/{chat}/participants", {"userId": eve.id})


async def test_changes_are_told_to_the_room(site: Site) -> None:
    """A change of name, description or archived state is told once; what changes nothing is not."""
    ann = await site.user("ann")
    chat = await ann.chat(description="old")
    path = f"/chats/{chat}"
    for change, fact, value in (
        ({"name": "New"}, "name", "New"),
        ({"description": "new"}, "description", "new"),
        ({"description": None}, "description", None),
        ({"archived": True}, "isActive", False),
        ({"archived": False}, "isActive", True),
    ):
        site.take_told()
        assert (await ann.done("PATCH", path, change))[fact] == value
        assert site.take_kinds() == ["room:info"]
        assert (await ann.done("PATCH", path, change))[fact] == value
        assert site.take_kinds() == []
    assert (await ann.done("PATCH", path, {}))["name"] == "New"
    await ann.refused(400, "INVALID_REQUEST", "PATCH", path, {"name": None})
    await ann.refused(400, "INVALID_REQUEST", "PATCH", path, {"archived": 1})
    assert site.take_kinds() == []


async def test_only_admins_change_a_chat(site: Site) -> None:
    """Members and moderators of a chat may not rename it; a server admin may, member or not."""
    ann, bob, root = await site.user("ann"), await site.user("bob"), await site.user("root", "admin")
    chat = await ann.chat()
    for role in ("user", "moderator"):
        await ann.add(chat, bob, role)
        await bob.refused(403, "FORBIDDEN", "PATCH", f"/chats/{chat}", {"name": "mine"})
    await ann.add(chat, bob, "admin")
    await bob.done("PATCH", f"/chats/{chat}", {"name": "ours"})
    assert (await root.done("PATCH", f"/chats/{chat}", {"name": "all ours"}))["role"] is None
    await root.refused(404, "NOT_FOUND", "GET", f"/chats/{chat}/messages")


async def test_concurrent_changes_lose_nothing(site: Site) -> None:
    """Two changes of different facts at the same moment both hold."""
    ann = await site.user("ann")
    path = f"/chats/{await ann.chat()}"
    await asyncio.gather(
        ann.done("PATCH", path, {"name": "New"}),
        ann.done("PATCH", path, {"description": "new"}),
        ann.done("PATCH", path, {"archived": True}),
    )
    chat = await ann.done("GET", path)
    assert (chat["name"], chat["description"], chat["isActive"]) == ("New", "new", False)


async def test_adding_members(site: Site) -> None:
    """A new member is told of, with 201; a known one is not, with 200, nor demoted for want of a role."""
    ann, bob, eve = await site.user("ann"), await site.user("bob"), await site.user("eve")
    chat = await ann.chat()
    path = f"/chats/{chat}/participants"
    site.take_told()
    response = await ann.ask("POST", path, {"userId": bob.id})
    assert response.status_code == 201
    assert response.json().keys() == {"userId", "username", "role", "joinedAt"}
    assert site.take_kinds() == ["room:info"]
    assert (await ann.add(chat, bob, "moderator"))["role"] == "moderator"
    response = await ann.ask("POST", path, {"userId": bob.id})
    assert (response.status_code, response.json()["role"]) == (200, "moderator")
    assert site.take_kinds() == []
    assert (await bob.add(chat, eve))["role"] == "user"
    await bob.refused(403, "FORBIDDEN", "POST", path, {"userId": eve.id, "role": "moderator"})
    await eve.refused(403, "FORBIDDEN", "POST", path, {"userId": bob.id})
    await ann.refused(404, "NOT_FOUND", "POST", path, {"userId": "nobody"})
    await ann.refused(400, "INVALID_REQUEST", "POST", path, {"userId": bob.id, "role": "owner"})
    await ann.refused(400, "INVALID_REQUEST", "POST", path, {"userId": {"$ne": None}})
    assert (await ann.done("GET", f"/chats/{chat}"))["participantCount"] == 3


async def test_removing_members(site: Site) -> None:
    """The removed are told to leave before the room hears of it; then the chat is hidden from them."""
    ann, bob, eve = await site.user("ann"), await site.user("bob"), await site.user("eve")
    chat = await ann.chat(bob, eve)
    path = f"/chats/{chat}/participants"
    await eve.refused(403, "FORBIDDEN", "DELETE", f"{path}/{bob.id}")
    site.take_told()
    response = await ann.ask("DELETE", f"{path}/{bob.id}")
    assert (response.status_code, response.content) == (204, b"")
    assert site.take_kinds() == [f"expel {bob.id}", "room:info"]
    await bob.refused(404, "NOT_FOUND", "GET", f"/chats/{chat}")
    failure = await ann.refused(404, "NOT_FOUND", "DELETE", f"{path}/{bob.id}")
    assert failure["message"] == "User is not a member of this chat"
    await eve.done("DELETE", f"{path}/{eve.id}")
    assert site.take_kinds() == [f"expel {eve.id}", "room:info"]


async def test_removing_a_member_whose_id_has_slashes(site: Site) -> None:
    """Of ids that differ in their slashes only, the one that was named is removed."""
    ann = await site.user("ann")
    chat = await ann.chat()
    path = f"/chats/{chat}/participants"
    ids = ["a/b", "a//b", "/a/b", "a/b/"]
    for user_id in ids:
        await site.store.ensure_user(
            records.User(id=user_id, username=user_id, email=None, role="user", active=True, created_at=1)
        )
        await ann.done("POST", path, {"userId": user_id})
    site.take_told()
    for user_id in reversed(ids):
        await ann.done("DELETE", f"{path}/{quote(user_id, safe='')}")
        assert site.take_kinds() == [f"expel {user_id}", "room:info"]


async def test_moderators_do_not_remove_admins(site: Site) -> None:
    """A moderator removes ordinary members; an admin goes by another admin's hand or its own."""
    ann, bob, eve = await site.user("ann"), await site.user("bob"), await site.user("eve")
    chat = await ann.chat(eve)
    await ann.add(chat, bob, "moderator")
    await bob.refused(403, "FORBIDDEN", "DELETE", f"/chats/{chat}/participants/{ann.id}")
    await bob.done("DELETE", f"/chats/{chat}/participants/{eve.id}")
    await bob.done("DELETE", f"/chats/{chat}/participants/{bob.id}")


async def test_the_last_admin_stays(site: Site) -> None:
    """A chat with members has an admin, however many try to leave at once; alone, the last one may go."""
    ann, bob = await site.user("ann"), await site.user("bob")
    chat = await ann.chat(bob)
    path = f"/chats/{chat}/participants"
    failure = await ann.refused(409, "CONFLICT", "DELETE", f"{path}/{ann.id}")
    assert failure["message"] == LAST_ADMIN
    await ann.refused(409, "CONFLICT", "POST", path, {"userId": ann.id, "role": "user"})
    await ann.add(chat, bob, "admin")
    answers = await asyncio.gather(
        ann.ask("DELETE", f"{path}/{ann.id}"), bob.ask("DELETE", f"{path}/{bob.id}")
    )
    assert sorted(answer.status_code for answer in answers) == [204, 204]
    one, two = await site.user("one"), await site.user("two")
    chat = await one.chat(two, ann)
    path = f"/chats/{chat}/participants"
    await one.add(chat, two, "admin")
    answers = await asyncio.gather(
        one.ask("DELETE", f"{path}/{one.id}"), two.ask("DELETE", f"{path}/{two.id}")
    )
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_pages_of_chats(site: Site) -> None:
    """The list is by last activity, newest first, and pages through all of it without repeating any."""
    ann, bob = await site.user("ann"), await site.user("bob")
    made = [await ann.chat(bob, name=f"chat {number}") for number in range(5)]
    await ann.say(made[1], "hello")
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await bob.done("GET", f"/chats?limit=2&cursor={cursor}" if cursor else "/chats?limit=2")
        found += page["chats"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert [chat["id"] for chat in found] == [made[1], made[4], made[3], made[2], made[0]]
    assert (found[0]["lastMessage"]["content"], found[0]["unreadCount"]) == ("hello", 1)
    assert (found[1]["lastMessage"], found[1]["unreadCount"]) == (None, 0)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1.5",
        "limit=-1",
        "limit=",
        "limit=\u0663",
        "cursor=!",
        "cursor=",
    ],
)
async def test_bad_pages(site: Site, query: str) -> None:
    """A parameter out of range is named."""
    ann = await site.user("ann")
    failure = await ann.refused(400, "INVALID_REQUEST", "GET", f"/chats?{query}")
    assert failure["details"][0]["field"] == query.partition("=")[0]


async def test_pages_of_participants(site: Site) -> None:
    """All members come, each once."""
    ann = await site.user("ann")
    others = [await site.user(f"user-{number}") for number in range(5)]
    chat = await ann.chat(*others)
    found: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await others[0].done("GET", f"/chats/{chat}/participants", params=params)
        found += [one["userId"] for one in page["participants"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert found == sorted(one.id for one in (ann, *others))


async def history(caller: Caller, chat: str, **params: Any) -> tuple[list[int], bool]:
    """The numbers of a page, and whether there are more."""
    page = await caller.done("GET", f"/chats/{chat}/messages", params=params)
    return [message["seq"] for message in page["messages"]], page["hasMore"]


async def test_history(site: Site) -> None:
    """The newest page, pages back and pages forward, all oldest first, for members."""
    ann, bob = await site.user("ann"), await site.user("bob")
    chat = await ann.chat(bob)
    assert await history(bob, chat) == ([], False)
    for number in range(1, 8):
        await ann.say(chat, f"message {number}")
    assert await history(bob, chat, limit=3) == ([5, 6, 7], True)
    assert await history(bob, chat, before=5, limit=3) == ([2, 3, 4], True)
    assert await history(bob, chat, before=2, limit=3) == ([1], False)
    assert await history(bob, chat, after=0, limit=3) == ([1, 2, 3], True)
    assert await history(bob, chat, after=4, limit=3) == ([5, 6, 7], False)
    assert await history(bob, chat, after=2, before=5) == ([3, 4], False)
    assert await history(bob, chat, after=7) == ([], False)
    assert await history(bob, chat, after=2**53 - 1) == ([], False)
    assert await history(bob, chat, before=0) == ([], False)
    page = await bob.done("GET", f"/chats/{chat}/messages")
    assert page.keys() == {"messages", "hasMore", "epoch"}
    assert page["messages"][0].keys() == {
        *("id", "content", "type", "chatId", "userId", "createdAt", "user", "seq", "clientMessageId")
    }
    for query in (
        "after=-1",
        "before=-1",
        "after=9007199254740992",
        "after=x",
        "after=9" + "9" * 400,
        "limit=500",
    ):
        await bob.refused(400, "INVALID_REQUEST", "GET", f"/chats/{chat}/messages?{query}")


async def test_an_archived_chat_can_still_be_read(site: Site) -> None:
    """Archiving takes nothing away from members."""
    ann = await site.user("ann")
    chat = await ann.chat()
    await ann.say(chat, "hello")
    await ann.done("PATCH", f"/chats/{chat}", {"archived": True})
    assert await history(ann, chat) == ([1], False)
    assert [one["isActive"] for one in (await ann.done("GET", "/chats"))["chats"]] == [False]
