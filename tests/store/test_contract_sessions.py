"""What every store promises of recovery sessions."""

import asyncio

import msgspec
import pytest

from hubbub.store.base import Store, Unstorable
from hubbub.store.records import LastTold
from tests.store.conftest import Opener
from tests.store.samples import NOW, people, session


async def test_a_session_is_found_by_its_id_and_its_private_id(open_store: Opener) -> None:
    """A session comes back as it was saved, also after a restart."""
    store = await open_store()
    await people(store, "ann")
    saved = session("s", token_hash=b"now", spent_hash=b"before", pid_hash=b"pid", positions={"a": 3, "b": 0})
    await store.save_session(saved)
    await store.close()
    store = await open_store()
    assert await store.session("s", NOW) == saved
    assert await store.session_by_pid(b"pid", NOW) == saved
    assert await store.session("t", NOW) is None
    assert await store.session_by_pid(b"now", NOW) is None
    await store.close()


async def test_saving_replaces_a_session(store: Store) -> None:
    """The newest state counts, also of several saved at once; a private id that is gone finds nothing."""
    await people(store, "ann")
    first = session("s", pid_hash=b"first")
    states = [
        msgspec.structs.replace(first, token_hash=bytes([n]), pid_hash=bytes([n]), positions={"a": n})
        for n in range(1, 9)
    ]
    await store.save_session(first)
    await asyncio.gather(*(store.save_session(state, renews=True) for state in states))
    assert await store.session("s", NOW) == states[-1]
    assert await store.session_by_pid(bytes([8]), NOW) == states[-1]
    assert await store.session_by_pid(bytes([7]), NOW) is None
    assert await store.session_by_pid(b"first", NOW) is None


async def test_a_session_that_another_socket_has_taken_up(store: Store) -> None:
    """Who had it before changes nothing any more, though both have the same keys; a new token goes before."""
    await people(store, "ann")
    before = session("s", pid_hash=b"p", positions={"a": 1}, taken_at=5)
    after = session("s", pid_hash=b"p", positions={"a": 1, "b": 2}, taken_at=6)
    await store.save_session(before)
    await store.save_session(after)
    await store.save_session(msgspec.structs.replace(before, positions={"a": 9}))
    assert await store.session_by_pid(b"p", NOW) == after
    further = msgspec.structs.replace(after, positions={"a": 3, "b": 3})
    await store.save_session(further)
    assert await store.session_by_pid(b"p", NOW) == further
    renewed = msgspec.structs.replace(before, token_hash=b"t")
    await store.save_session(renewed, renews=True)
    assert await store.session("s", NOW) == renewed


async def test_a_session_that_somebody_else_has_gone_on_with(store: Store) -> None:
    """Who has another token than the stored one changes nothing, unless the token is a new one."""
    await people(store, "ann")
    old = session("s", token_hash=b"old", positions={"a": 1})
    new = session("s", token_hash=b"new", spent_hash=b"old", positions={"a": 5})
    await store.save_session(session("s", pid_hash=b"p"))
    await store.save_session(old)
    assert (await store.session("s", NOW) or old).token_hash is None
    await store.save_session(old, renews=True)
    await store.save_session(new, renews=True)
    await store.save_session(msgspec.structs.replace(old, positions={"a": 9}))
    assert await store.session("s", NOW) == new
    further = msgspec.structs.replace(new, spent_hash=None, positions={"a": 6})
    await asyncio.gather(store.save_session(further), store.save_session(session("t")))
    assert await store.session("s", NOW) == further


async def test_many_sessions_are_saved_at_once(store: Store) -> None:
    """A storm of connections leaves each its own session."""
    await people(store, "ann")
    storm = [session(f"{n:04}", pid_hash=b"%d" % n) for n in range(600)]
    await asyncio.gather(*map(store.save_session, storm))
    assert (await store.session_totals(NOW)).sessions == 600
    assert await store.session_by_pid(b"599", NOW) == storm[-1]


async def test_an_expired_session_is_gone(store: Store) -> None:
    """A session can be taken up until the moment it expires, and is then forgotten."""
    await people(store, "ann")
    await store.save_session(session("s", pid_hash=b"p", expires_at=NOW + 10))
    assert await store.session("s", NOW + 9) is not None
    assert await store.session("s", NOW + 10) is None
    assert await store.session_by_pid(b"p", NOW + 10) is None
    assert await store.delete_expired(NOW + 9) == 0
    assert await store.delete_expired(NOW + 10) == 1
    assert await store.session("s", NOW) is None


async def test_a_deleted_session_is_gone(store: Store) -> None:
    """Deleting ends a session; deleting what is not there is no error."""
    await people(store, "ann")
    await store.save_session(session("s"))
    await store.delete_session("s")
    await store.delete_session("s")
    assert await store.session("s", NOW) is None


async def test_a_private_id_belongs_to_one_session(store: Store) -> None:
    """A private id that another session has is refused; that session and the rest of the batch are safe."""
    await people(store, "ann")
    await store.save_session(session("s", pid_hash=b"p"))
    answers = await asyncio.gather(
        store.save_session(session("thief", pid_hash=b"p")),
        store.save_session(session("other", pid_hash=b"q")),
        return_exceptions=True,
    )
    assert isinstance(answers[0], Unstorable)
    assert answers[1] is None
    found = await store.session_by_pid(b"p", NOW)
    assert found is not None
    assert found.id == "s"


async def test_session_totals(store: Store) -> None:
    """Unexpired sessions, those with a token, and their ages are summed up."""
    await people(store, "ann")
    assert (await store.session_totals(NOW)).total_age == 0
    await store.save_session(session("a", token_hash=b"a", connected_at=NOW - 100))
    await store.save_session(session("b", connected_at=NOW - 50))
    await store.save_session(session("c", token_hash=b"c", expires_at=NOW))
    totals = await store.session_totals(NOW)
    assert (totals.sessions, totals.tokens, totals.total_age) == (2, 1, 150)


@pytest.mark.parametrize("positions", [{}, {"a": 2**53 - 1}, {f'chat {n} " 🎉': n for n in range(500)}])
async def test_positions_are_kept_as_they_are(store: Store, positions: dict[str, int]) -> None:
    """Any chat ids and numbers come back."""
    await people(store, "ann")
    await store.save_session(session("s", pid_hash=b"p", positions=positions))
    found = await store.session_by_pid(b"p", NOW)
    assert found is not None
    assert found.positions == positions


async def test_what_was_told_last_is_kept_until_the_next_save(store: Store) -> None:
    """It comes back as it was; a session that goes on has none."""
    await people(store, "ann")
    told = [("b", 7), ("a", 2**53 - 2), ("b", 8), ("a", 2**53 - 1), ('chat " 🎉', 1), ("b", 9)]
    ended = session("s", pid_hash=b"p", last_told=LastTold.of("node", told))
    await asyncio.gather(store.save_session(ended), store.save_session(session("t")))
    found = await store.session_by_pid(b"p", NOW)
    assert found == ended
    assert found.last_told is not None
    assert found.last_told.messages() == told
    await store.save_session(msgspec.structs.replace(ended, last_told=None))
    assert (await store.session_by_pid(b"p", NOW) or ended).last_told is None


async def test_a_session_goes_on_under_another_id(store: Store) -> None:
    """One session takes another one's place and private id in one step, also among others saved with it."""
    await people(store, "ann")
    own = session("own", pid_hash=b"p", positions={"a": 1})
    await store.save_session(own)
    await store.save_session(session("old", token_hash=b"t"))
    heir = session("old", token_hash=b"t", pid_hash=b"p", positions={"a": 2})
    await asyncio.gather(
        store.save_session(own), store.save_session(heir, replaces="own"), store.save_session(session("s"))
    )
    assert await store.session("own", NOW) is None
    assert await store.session("old", NOW) == await store.session_by_pid(b"p", NOW) == heir
    await store.save_session(heir, replaces="nobody")
    assert (await store.session_totals(NOW)).sessions == 2
