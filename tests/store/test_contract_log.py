"""What every store promises of the log: appending and reading."""

import asyncio

import pytest

from hubbub.store.base import ChatArchived, Conflict, NotMember, Store, Unstorable
from hubbub.store.records import Appended
from tests.store.conftest import Opener
from tests.store.samples import NOW, ids, message, people, room, say


async def test_seq_is_dense_in_every_chat_and_position_grows_over_all(store: Store) -> None:
    """Concurrent appends are numbered 1, 2, 3, … in each chat, and positions never repeat."""
    await room(store, "a", "ann", "bob")
    await room(store, "b", "ann", "bob")
    futures = [
        store.append(message(chat, user)) for _ in range(70) for chat in "ab" for user in ("ann", "bob")
    ]
    appended = [answer.message for answer in await asyncio.gather(*futures)]
    for chat in "ab":
        stored = await store.read(chat, limit=1000)
        assert [m.seq for m in stored] == list(range(1, 141))
        assert stored == [m for m in appended if m.chat_id == chat]
    positions = [m.position for m in appended]
    assert positions == sorted(set(positions))
    assert await store.last_position() == positions[-1]
    assert await store.last_seqs(["a", "b", "nowhere"]) == {"a": 140, "b": 140}
    assert (await store.totals()).messages == 280


async def test_futures_complete_in_commit_order(store: Store) -> None:
    """Whoever waits for several appends sees them done in the order of `seq`."""
    await room(store, "a", "ann", "bob")
    done: list[int] = []
    futures = [store.append(message("a", user)) for _ in range(50) for user in ("ann", "bob")]
    for future in futures:
        future.add_done_callback(lambda f: done.append(f.result().message.seq))
    await asyncio.gather(*futures)
    assert done == list(range(1, 101))


async def test_an_appended_message_is_read_back_as_it_was(store: Store) -> None:
    """Every field survives, whatever the text."""
    await room(store, "a", "ann")
    content = "line\nbreak, \t tab, \"quotes\", \\, 'single', % ? : 🎉 \u202e מ \u0301 ﷽"
    new = message("a", "ann", content, type="code", client_message_id="one 🎉", created_at=NOW + 5)
    appended = (await store.append(new)).message
    assert await store.read("a", limit=10) == [appended]
    assert await store.message(new.id) == appended
    assert (appended.seq, appended.content, appended.type) == (1, content, "code")
    assert (appended.id, appended.user_id, appended.username) == (new.id, "ann", "ann")
    assert (appended.client_message_id, appended.created_at) == ("one 🎉", NOW + 5)


async def test_only_members_append(store: Store) -> None:
    """Outsiders, former members and unknown chats are refused, and the refusal leaves no trace."""
    await room(store, "a", "ann", "bob")
    await people(store, "eve")
    await store.remove_member("a", "bob")
    refused = await asyncio.gather(
        *(store.append(message(*where)) for where in (("a", "eve"), ("a", "bob"), ("nowhere", "ann"))),
        return_exceptions=True,
    )
    assert [type(answer) for answer in refused] == [NotMember] * 3
    assert await store.read("a", limit=10) == []
    assert await store.last_seqs(["a"]) == {"a": 0}


async def test_a_refused_message_takes_no_number(store: Store) -> None:
    """Refusals amid a batch leave the others' numbers dense."""
    await room(store, "a", "ann")
    await people(store, "eve")
    answers = await asyncio.gather(
        *(store.append(message("a", user)) for user in ("ann", "eve", "ann", "eve", "ann")),
        return_exceptions=True,
    )
    assert [a.message.seq for a in answers if isinstance(a, Appended)] == [1, 2, 3]


async def test_an_archived_chat_takes_no_more_messages(store: Store) -> None:
    """Archiving stops sends until the chat is opened again; a repeated send still finds its first."""
    await room(store, "a", "ann")
    first = await store.append(message("a", "ann", "once", client_message_id="k"))
    await store.update_chat("a", name="a", description=None, archived_at=NOW)
    with pytest.raises(ChatArchived):
        await store.append(message("a", "ann"))
    assert (await store.append(message("a", "ann", "once", client_message_id="k"))).message == first.message
    await store.update_chat("a", name="a", description=None, archived_at=None)
    assert (await store.append(message("a", "ann"))).message.seq == 2


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
async def test_a_client_message_id_makes_one_message(store: Store, together: bool) -> None:
    """Sending again with the same content gives the first message; other content or type is a conflict."""
    await room(store, "a", "ann", "bob")
    sends = [
        message("a", "ann", "hi", client_message_id="k"),
        message("a", "ann", "hi", client_message_id="k"),
        message("a", "ann", "other", client_message_id="k"),
        message("a", "ann", "hi", client_message_id="k", type="code"),
        message("a", "bob", "hi", client_message_id="k"),
    ]
    if together:
        answers = await asyncio.gather(*map(store.append, sends), return_exceptions=True)
    else:
        answers = [(await asyncio.gather(store.append(send), return_exceptions=True))[0] for send in sends]
    first, again, other, typed, of_bob = answers
    assert isinstance(first, Appended)
    assert isinstance(again, Appended)
    assert isinstance(of_bob, Appended)
    assert (first.duplicate, again.duplicate, of_bob.duplicate) == (False, True, False)
    assert again.message == first.message
    for refusal in (other, typed):
        assert isinstance(refusal, Conflict)
        assert refusal.what == "clientMessageId"
    assert await store.read("a", limit=10) == [first.message, of_bob.message]


async def test_client_message_ids_are_remembered_out_of_order_and_for_ever(open_store: Opener) -> None:
    """A late retry finds its message, whatever was sent since, after a restart, after leaving and joining."""
    store = await open_store()
    await room(store, "a", "ann")
    sends = [message("a", "ann", f"text {n}", client_message_id=f"{n:03}") for n in (5, 1, 9, 3)]
    first = [(await store.append(send)).message for send in sends]
    await say(store, "a", "ann", *"xyz")
    await store.close()
    store = await open_store()
    await store.remove_member("a", "ann")
    with pytest.raises(NotMember):
        await store.append(sends[0])
    await store.add_member("a", "ann", "member", NOW)
    retries = [message("a", "ann", send.content, client_message_id=send.client_message_id) for send in sends]
    again = await asyncio.gather(*map(store.append, reversed(retries)))
    assert [answer.message for answer in again] == first[::-1]
    assert all(answer.duplicate for answer in again)
    assert await store.last_seqs(["a"]) == {"a": 7}
    await store.close()


async def test_what_cannot_be_stored_fails_alone(store: Store) -> None:
    """A lone surrogate or a monstrous integer fails its own append, not its neighbours in the batch."""
    await room(store, "a", "ann")
    answers = await asyncio.gather(
        store.append(message("a", "ann", "one")),
        store.append(message("a", "ann", "\ud800")),
        store.append(message("a", "ann", "two", client_message_id="k")),
        store.append(message("a", "ann", "late", created_at=2**63)),
        store.append(message("a", "ann", "two", client_message_id="k")),
        store.append(message("a", "\udfff", "three")),
        store.append(message("a", "ann", "three")),
        return_exceptions=True,
    )
    assert [isinstance(answer, Unstorable) for answer in answers] == [
        False,
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    assert [m.content for m in await store.read("a", limit=10)] == ["one", "two", "three"]
    assert (await store.totals()).messages == 3


async def test_a_message_id_is_never_used_twice(store: Store) -> None:
    """A repeated message id is refused alone and leaves the first message as it was."""
    await room(store, "a", "ann")
    await store.append(message("a", "ann", "first", id="m"))
    answers = await asyncio.gather(
        *(store.append(message("a", "ann", "again", id=id_)) for id_ in ("m", "n")), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Unstorable, Appended]
    assert [(m.id, m.seq) for m in await store.read("a", limit=10)] == [("m", 1), ("n", 2)]


async def test_a_cancelled_caller_does_not_take_its_message_back(store: Store) -> None:
    """Cancelling hides the answer, nothing else."""
    await room(store, "a", "ann")
    gone = store.append(message("a", "ann", "gone"))
    stays = store.append(message("a", "ann", "stays"))
    gone.cancel()
    assert (await stays).message.seq == 2
    assert [m.content for m in await store.read("a", limit=10)] == ["gone", "stays"]


async def test_reading_a_window(store: Store) -> None:
    """Windows exclude their bounds; messages come oldest first, the oldest or the newest of the window."""
    await room(store, "a", "ann")
    await say(store, "a", "ann", *(str(n) for n in range(1, 11)))

    async def seqs(**window: int) -> list[int]:
        newest = bool(window.pop("newest", 0))
        return [m.seq for m in await store.read("a", newest=newest, **{"limit": 100, **window})]

    assert await seqs() == list(range(1, 11))
    assert await seqs(after=3) == list(range(4, 11))
    assert await seqs(before=3) == [1, 2]
    assert await seqs(after=3, before=8) == [4, 5, 6, 7]
    assert await seqs(limit=3) == [1, 2, 3]
    assert await seqs(limit=3, newest=1) == [8, 9, 10]
    assert await seqs(after=2, before=8, limit=2, newest=1) == [6, 7]
    assert await seqs(after=10) == []
    assert await store.read("nowhere", limit=10) == []


@pytest.mark.parametrize("far", [2**53, 2**63 - 1, 2**63, 2**64, 10**40])
async def test_far_cursors_are_just_far(store: Store, far: int) -> None:
    """A cursor beyond every number of the database is an empty window, never an overflow."""
    await room(store, "a", "ann")
    (only,) = await say(store, "a", "ann", "hello")
    assert await store.read("a", after=far, limit=10) == []
    assert await store.read("a", after=-far, before=far, limit=10) == [only]
    assert await store.read("a", before=-far, limit=10) == []


async def test_unknown_things_are_none(store: Store) -> None:
    """Looking for what is not there is no error."""
    assert await store.message("nothing") is None
    assert await store.last_position() == 0
    assert await store.last_seqs([]) == {}
    assert ids(await store.read("nothing", limit=1)) == []


async def test_the_log_survives_a_restart(open_store: Opener) -> None:
    """Messages, numbers and the name of the history are there again, and numbering goes on."""
    store = await open_store()
    await room(store, "a", "ann")
    stored = await say(store, "a", "ann", *"abc")
    epoch = await store.epoch()
    await store.close()
    store = await open_store()
    assert await store.epoch() == epoch
    assert len(epoch) >= 32
    assert await store.read("a", limit=10) == stored
    (next_,) = await say(store, "a", "ann", "d")
    assert next_.seq == 4
    assert next_.position > stored[-1].position
    await store.close()


async def test_check_passes_on_a_sound_store(store: Store) -> None:
    """A store that can read and write passes its check."""
    await store.check()
