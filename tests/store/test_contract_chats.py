"""What every store promises of chats and their members."""

import asyncio

import pytest

from hubbub.store.base import Conflict, Store, Unstorable
from hubbub.store.records import Member
from tests.store.samples import NOW, chat, member, message, people, room, say, unread


async def test_a_chat_is_stored_with_its_members_and_an_empty_log(store: Store) -> None:
    """Whatever the caller says of numbers and counts, a new chat has no messages and just its members."""
    await people(store, "ann", "bob")
    new = chat("a", description="about", is_public=True, last_seq=7, member_count=9)
    await store.create_chat(new, [member("a", "ann"), member("a", "bob")])
    stored = await store.chat("a")
    assert stored is not None
    assert (stored.description, stored.is_public, stored.created_by) == ("about", True, "ann")
    assert (stored.last_seq, stored.member_count, stored.last_activity) == (0, 2, NOW)
    assert await store.chat("b") is None


async def test_a_chat_id_is_never_used_twice(store: Store) -> None:
    """The second chat is refused and changes nothing."""
    await room(store, "a", "ann")
    with pytest.raises(Conflict) as refusal:
        await store.create_chat(chat("a", name="other"), [])
    assert refusal.value.what == "id"
    stored = await store.chat("a")
    assert stored is not None
    assert (stored.name, stored.member_count) == ("a", 1)


async def test_a_chat_with_an_unknown_member_is_not_stored_at_all(store: Store) -> None:
    """Creating is all or nothing."""
    await people(store, "ann")
    with pytest.raises(Unstorable):
        await store.create_chat(chat("a"), [member("a", "ann"), member("a", "nobody")])
    assert await store.chat("a") is None
    assert await store.chat_ids_of("ann") == []


async def test_members_come_and_go(store: Store) -> None:
    """Adding tells whether the user was new, changes a role otherwise, and the chat counts its members."""
    await room(store, "a", "ann")
    await people(store, "bob")
    await say(store, "a", "ann", "one", "two")
    assert await store.add_member("a", "bob", "member", NOW + 1) is True
    assert await store.add_member("a", "bob", "moderator", NOW + 2) is False
    view = await store.chat_for("a", "bob")
    assert view is not None
    assert view.chat.member_count == 2
    assert view.member == Member(
        chat_id="a", user_id="bob", role="moderator", joined_at=NOW + 1, joined_seq=2
    )
    assert await store.remove_member("a", "bob") is True
    assert await store.remove_member("a", "bob") is False
    view = await store.chat_for("a", "bob")
    assert view is not None
    assert (view.chat.member_count, view.member, view.unread) == (1, None, 0)


async def test_only_what_exists_can_be_joined(store: Store) -> None:
    """Adding somebody unknown, or to an unknown chat, is refused and leaves the count alone."""
    await room(store, "a", "ann")
    for where, who in (("a", "nobody"), ("nowhere", "ann")):
        with pytest.raises(Unstorable):
            await store.add_member(where, who, "member", NOW)
    stored = await store.chat("a")
    assert stored is not None
    assert stored.member_count == 1


async def test_many_join_at_once(store: Store) -> None:
    """Concurrent joins of one user count once."""
    await room(store, "a", "ann")
    await people(store, "bob")
    joined = await asyncio.gather(*(store.add_member("a", "bob", "member", NOW) for _ in range(10)))
    assert sorted(joined) == [False] * 9 + [True]
    assert await store.member_ids("a") == ["ann", "bob"]


async def test_members_are_paged_by_user_id(store: Store) -> None:
    """Pages join without loss or repeat."""
    names = sorted(f"user-{n}" for n in range(7))
    await room(store, "a", *reversed(names))
    first = await store.members("a", "", 3)
    rest = await store.members("a", first[-1].user_id, 10)
    assert [m.user_id for m in first + rest] == names
    assert sorted(await store.member_ids("a")) == names


async def test_contacts_are_those_who_share_a_chat(store: Store) -> None:
    """Contacts include the user, exclude strangers, and end with the membership."""
    await room(store, "a", "ann", "bob")
    await room(store, "b", "ann", "cat")
    await room(store, "c", "bob", "dan")
    assert await store.contacts("ann") == {"ann", "bob", "cat"}
    assert await store.contacts("nobody") == {"nobody"}
    await store.remove_member("b", "ann")
    assert await store.contacts("ann") == {"ann", "bob"}
    assert sorted(await store.chat_ids_of("bob")) == ["a", "c"]


async def test_a_chat_can_be_changed(store: Store) -> None:
    """Name, description and archived state are replaced; nothing else is."""
    await room(store, "a", "ann")
    await say(store, "a", "ann", "one")
    await store.update_chat("a", name="new", description="about", archived_at=NOW + 3)
    stored = await store.chat("a")
    assert stored is not None
    assert (stored.name, stored.description, stored.archived_at) == ("new", "about", NOW + 3)
    assert (stored.last_seq, stored.member_count) == (1, 1)


async def test_chats_are_listed_by_last_activity_and_paged(store: Store) -> None:
    """The newest activity comes first; pages join also where several chats have the same time."""
    for n in range(6):
        await room(store, f"chat-{n}", "ann", "bob")
    await room(store, "foreign", "bob")
    (last,) = await say(store, "chat-2", "ann", "hello")
    await store.append(message("chat-4", "ann", created_at=NOW + 5))
    listed, before = [], None
    while rows := await store.chats_of("ann", 2, before):
        listed += rows
        before = (rows[-1].chat.last_activity, rows[-1].chat.id)
    assert [row.chat.id for row in listed] == ["chat-4", "chat-5", "chat-3", "chat-2", "chat-1", "chat-0"]
    assert {row.chat.id: row.last_message for row in listed}["chat-2"] == last
    assert listed[-1].last_message is None


async def test_all_chats_are_listed_too(store: Store) -> None:
    """Every chat is there, whoever its members are, by last activity and paged."""
    await room(store, "a", "ann")
    await room(store, "b", "bob")
    await room(store, "c", "ann")
    await say(store, "b", "bob", "one")
    found: list[str] = []
    before = None
    while rows := await store.list_chats(2, before):
        found += [row.id for row in rows]
        before = (rows[-1].last_activity, rows[-1].id)
    assert sorted(found) == ["a", "b", "c"]
    assert [row.id for row in await store.list_chats(9, None)] == found


async def test_unread_counts_others_messages_since_joining(store: Store) -> None:
    """Own messages and those before joining are never unread; joining again begins anew."""
    await room(store, "a", "ann", "bob")
    await people(store, "cat")
    await say(store, "a", "ann", "1", "2")
    await say(store, "a", "bob", "3")
    assert await unread(store, "a", "ann") == 1
    assert await unread(store, "a", "bob") == 2
    await store.add_member("a", "cat", "member", NOW)
    assert await unread(store, "a", "cat") == 0
    await say(store, "a", "cat", "4", "5")
    await say(store, "a", "ann", "6")
    assert await unread(store, "a", "cat") == 1
    await store.remove_member("a", "cat")
    await say(store, "a", "ann", "7")
    await store.add_member("a", "cat", "member", NOW)
    assert await unread(store, "a", "cat") == 0
    await say(store, "a", "bob", "8")
    assert await unread(store, "a", "cat") == 1


async def test_last_activity_never_goes_back(store: Store) -> None:
    """A clock that was set back does not move a chat down the list."""
    await room(store, "a", "ann")
    await store.append(message("a", "ann", created_at=NOW + 100))
    await store.append(message("a", "ann", created_at=NOW - 100))
    stored = await store.chat("a")
    assert stored is not None
    assert (stored.last_activity, stored.last_seq) == (NOW + 100, 2)
