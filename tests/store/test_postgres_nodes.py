"""Several stores on one PostgreSQL database: what is promised holds among them all."""

import asyncio
import random
from collections.abc import Iterable
from functools import partial

import pytest

from hubbub.store.base import ChatArchived, Conflict, NotMember
from hubbub.store.postgres import PostgresStore
from hubbub.store.records import Appended, RefreshToken
from tests import postgres
from tests.store.samples import NOW, ids, message, people, room, say, unread, user

CHATS = ("a", "b", "c", "d")


async def test_everybody_appends_to_the_same_chats(shared: list[PostgresStore]) -> None:
    """Numbers are dense in every chat, an author's messages keep their order, and positions grow."""
    names = [f"user-{n}" for n in range(6)]
    for chat in CHATS:
        await room(shared[0], chat, *names)
    dice = random.Random(1)

    async def talk(store: PostgresStore, author: str) -> list[Appended]:
        sent = []
        for _ in range(10):
            futures = [store.append(message(dice.choice(CHATS), author)) for _ in range(10)]
            sent += await asyncio.gather(*futures)
        return sent

    told = await asyncio.gather(*(talk(shared[n % 3], name) for n, name in enumerate(names)))
    for chat in CHATS:
        stored = await shared[0].read(chat, limit=1000)
        assert [m.seq for m in stored] == list(range(1, len(stored) + 1))
        positions = [m.position for m in stored]
        assert positions == sorted(set(positions))
        for sent in told:
            mine = [one.message for one in sent if one.message.chat_id == chat]
            assert [m for m in stored if m.user_id == sent[0].message.user_id] == mine
    assert (await shared[1].totals()).messages == 600


async def test_an_authors_futures_complete_in_order(shared: list[PostgresStore]) -> None:
    """Also over several chats, of which another node holds some up."""
    for chat in CHATS:
        await room(shared[0], chat, "ann", "bob")
    done: list[int] = []
    futures = []
    for number in range(200):
        shared[1].append(message("a", "bob"))
        futures.append(shared[0].append(message(CHATS[number % 4], "ann")))
        futures[-1].add_done_callback(partial(_note, done, number))
        if number % 20 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*futures)
    assert done == list(range(200))


def _note(done: list[int], number: int, _future: object) -> None:
    done.append(number)


async def test_a_nodes_messages_to_a_chat_keep_their_order(shared: list[PostgresStore]) -> None:
    """Whoever their authors are, while several batches are in flight: numbered and answered as they came."""
    names = [f"user-{n}" for n in range(10)]
    await room(shared[0], "a", *names)
    done: list[int] = []
    futures = []
    for number in range(300):
        futures.append(shared[0].append(message("a", names[number % 10])))
        futures[-1].add_done_callback(lambda future: done.append(future.result().message.seq))
        if number % 3 == 0:
            await asyncio.sleep(0)
    answers = await asyncio.gather(*futures)
    assert [answer.message.seq for answer in answers] == list(range(1, 301))
    assert done == list(range(1, 301))


async def test_a_client_message_id_has_one_winner(shared: list[PostgresStore]) -> None:
    """Sent at once on three nodes there is one message; other content is a conflict, on whichever node."""
    await room(shared[0], "a", "ann")
    for key in range(30):
        answers = await asyncio.gather(
            *(
                store.append(message("a", "ann", text, client_message_id=f"{key}"))
                for store in shared
                for text in ("one", "other")
            ),
            return_exceptions=True,
        )
        appended = [answer for answer in answers if isinstance(answer, Appended)]
        refused = [answer for answer in answers if isinstance(answer, Conflict)]
        assert len(appended) == len(refused) == 3
        assert [one.duplicate for one in appended].count(False) == 1
        assert len({one.message.id for one in appended}) == 1
    assert await shared[2].last_seqs(["a"]) == {"a": 30}


async def test_a_membership_that_ends_elsewhere(shared: list[PostgresStore]) -> None:
    """Once a node has said that somebody is out, or a chat closed, no node stores a message any more."""
    here, there, _ = shared
    await room(here, "a", "ann", "bob")

    async def flood() -> list[object]:
        answers: list[object] = []
        while not any(isinstance(answer, NotMember | ChatArchived) for answer in answers):
            sent = [here.append(message("a", "bob")) for _ in range(5)]
            answers += await asyncio.gather(*sent, return_exceptions=True)
        return answers

    for end in (
        lambda: there.remove_member("a", "bob"),
        lambda: there.update_chat("a", name="a", description=None, archived_at=NOW),
    ):
        flooding = asyncio.create_task(flood())
        await asyncio.sleep(0)
        await end()
        last = (await there.last_seqs(["a"]))["a"]
        await flooding
        assert await there.last_seqs(["a"]) == {"a": last}
        await there.add_member("a", "bob", "member", NOW)


async def test_a_user_joins_on_three_nodes_at_once(shared: list[PostgresStore]) -> None:
    """One of them makes the membership, and the chat counts it once, while messages pour in."""
    await room(shared[0], "a", "ann")
    newcomers = [f"user-{n}" for n in range(20)]
    await people(shared[0], *newcomers)
    sending = [shared[n % 2].append(message("a", "ann")) for n in range(200)]
    for newcomer in newcomers:
        joined = await asyncio.gather(*(store.add_member("a", newcomer, "member", NOW) for store in shared))
        assert sorted(joined) == [False, False, True]
    await asyncio.gather(*sending)
    stored = await shared[2].chat("a")
    assert stored is not None
    assert (stored.member_count, stored.last_seq) == (21, 200)


async def test_confirmations_on_three_nodes_add_up(shared: list[PostgresStore]) -> None:
    """Each receipt is told once, and the counts are those of all nodes."""
    readers = [f"reader-{n}" for n in range(6)]
    await room(shared[0], "a", "ann", *readers)
    sent = ids(await say(shared[0], "a", "ann", *(str(n) for n in range(20))))

    def confirmations(reader: str) -> Iterable[object]:
        for number, store in enumerate(shared):
            for start in range(0, 20, 5):
                kind = "read" if number else "delivered"
                yield store.confirm("a", reader, sent[start : start + 5], kind, NOW)  # type: ignore[arg-type]

    answers = await asyncio.gather(*(one for reader in readers for one in confirmations(reader)))  # type: ignore[call-overload]
    told = sorted((r.message_id, r.delivered_count, r.read_count) for answer in answers for r in answer)
    assert len(told) == len(set(told))
    totals = await shared[1].totals()
    assert (totals.delivered, totals.read) == (120, 120)
    assert await unread(shared[2], "a", "reader-3") == 0


def deadlocks(server: postgres.Postgres, url: str) -> int:
    """How many the server has seen in a database."""
    name = url.split("/")[3].partition("?")[0]
    query = f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{name}'"
    return int(server.sql(f"SELECT pg_stat_force_next_flush(); {query}").splitlines()[-1])


async def test_leaving_amid_ones_own_messages(
    shared: list[PostgresStore], postgres_server: postgres.Postgres, database_url: str
) -> None:
    """A member who is removed elsewhere while sending is no reason for a deadlock."""
    await room(shared[0], "a", "ann", "bob")
    for _ in range(20):
        sending = [shared[n % 2].append(message("a", "bob")) for n in range(20)]
        for _ in range(3):
            await asyncio.sleep(0)
        await shared[2].remove_member("a", "bob")
        await asyncio.gather(*sending, return_exceptions=True)
        await shared[2].add_member("a", "bob", "member", NOW)
    assert deadlocks(postgres_server, database_url) == 0


async def test_batches_do_not_deadlock(
    shared: list[PostgresStore], postgres_server: postgres.Postgres, database_url: str
) -> None:
    """Nodes that write to the same chats in different orders wait for each other; none is a victim."""
    chats = [f"chat-{n}" for n in range(12)]
    for chat in chats:
        await room(shared[0], chat, "ann", "bob")
    dice = random.Random(2)
    for _ in range(15):
        await asyncio.gather(
            *(store.append(message(c, "ann")) for store in shared for c in dice.sample(chats, 12)),
            *(store.confirm(c, "bob", [], "read", NOW) for store in shared for c in dice.sample(chats, 12)),
        )
    assert deadlocks(postgres_server, database_url) == 0
    assert set((await shared[0].last_seqs(chats)).values()) == {45}


async def test_users_arrive_everywhere_at_once(shared: list[PostgresStore]) -> None:
    """One user who connects to three nodes is stored, and counted, once."""
    arrivals = [user(f"{n}") for n in range(50)]
    answers = await asyncio.gather(*(store.ensure_user(one) for one in arrivals for store in shared))
    assert answers == [one for one in arrivals for _ in shared]
    assert await shared[0].count_users() == 50


async def test_a_refresh_token_works_once_among_nodes(shared: list[PostgresStore]) -> None:
    """Of takers on three nodes one gets the user."""
    await people(shared[0], "ann")
    await shared[0].save_refresh_token(RefreshToken(token_hash=b"t", user_id="ann", expires_at=NOW + 9))
    taken = await asyncio.gather(*(store.take_refresh_token(b"t", NOW) for store in shared))
    assert sorted(taken, key=str) == [None, None, "ann"]


async def test_nodes_that_start_at_once_migrate_once(postgres_server: postgres.Postgres) -> None:
    """An empty database is given its tables by one of them; they agree on the epoch."""
    name = postgres_server.create()
    stores = await asyncio.gather(*(PostgresStore.open(postgres_server.url(name)) for _ in range(4)))
    assert len({await store.epoch() for store in stores}) == 1
    await room(stores[0], "a", "ann")
    await asyncio.gather(*(store.append(message("a", "ann")) for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    assert postgres_server.sql("SELECT count(*) FROM alembic_version", name) == "1"


@pytest.mark.parametrize("clashing", ["id", "username"])
async def test_two_nodes_register_a_name_once(shared: list[PostgresStore], clashing: str) -> None:
    """One of several wins; the others are told what was taken."""
    people = [
        user("1" if clashing == "id" else f"{n}", username="zoe" if clashing == "username" else f"zoe-{n}")
        for n in range(3)
    ]
    answers = await asyncio.gather(
        *(store.create_user(one, "hash") for store, one in zip(shared, people, strict=True)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers].count(Conflict) == 2
    assert {answer.what for answer in answers if isinstance(answer, Conflict)} == {clashing}
    assert await shared[0].count_users() == 1
