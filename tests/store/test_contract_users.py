"""What every store promises of users and refresh tokens."""

import asyncio

import pytest

from hubbub.store.base import Conflict, Store
from hubbub.store.records import RefreshToken
from tests.store.samples import NOW, people, user


async def test_a_user_is_found_by_id_and_by_login(store: Store) -> None:
    """Username and email find a user with a password, in any letter case of any language."""
    zoe = user("1", username="Zoë", email="ZOË@Example.org", role="admin", last_seen=NOW)
    await store.create_user(zoe, "hash")
    assert await store.user("1") == zoe
    for login in ("Zoë", "zoë", "ZOË", "zoë@example.ORG"):
        found = await store.credentials(login)
        assert found is not None
        assert (found.user, found.password_hash) == (zoe, "hash")
    assert await store.user("2") is None
    assert await store.credentials("zoe") is None


async def test_username_email_and_id_are_unique_among_users_with_a_password(store: Store) -> None:
    """A taken value is named; the refused user is not stored."""
    await store.create_user(user("1", username="Ann", email="ann@example.org"), "hash")
    for taken, facts in {
        "username": {"username": "ANN"},
        "email": {"email": "Ann@Example.org"},
    }.items():
        with pytest.raises(Conflict) as refusal:
            await store.create_user(user("2", **facts), "hash")
        assert refusal.value.what == taken
    with pytest.raises(Conflict) as refusal:
        await store.create_user(user("1", username="other"), "hash")
    assert refusal.value.what == "id"
    assert await store.user("2") is None
    assert await store.count_users() == 1


async def test_a_user_with_a_password_takes_nobodys_name(store: Store) -> None:
    """The name of a user without a password is taken for those with one, in any letter case."""
    await store.ensure_user(user("1", username="Ann", email="ann@example.org"))
    with pytest.raises(Conflict) as refusal:
        await store.create_user(user("2", username="ANN"), "hash")
    assert refusal.value.what == "username"
    await store.create_user(user("2", username="anne", email="ann@example.org"), "hash")


async def test_foreign_users_share_names_freely(store: Store) -> None:
    """Users without a password conflict with nobody, and cannot be logged in to."""
    await store.create_user(user("1", username="ann", email="ann@example.org"), "hash")
    await asyncio.gather(
        *(store.ensure_user(user(id_, username="Ann", email="ann@example.org")) for id_ in ("2", "3"))
    )
    assert await store.count_users() == 3
    found = await store.credentials("ANN")
    assert found is not None
    assert found.user.id == "1"


async def test_ensuring_creates_once_and_takes_changes_over(store: Store) -> None:
    """The first call stores the user; later ones change names and role, and nothing else."""
    first = user("1", username="ann", created_at=NOW)
    answers = await asyncio.gather(*(store.ensure_user(first) for _ in range(20)))
    assert answers == [first] * 20
    await store.set_last_seen("1", NOW + 1)
    await store.set_active("1", False)
    later = user("1", username="anna", email="anna@example.org", role="admin", created_at=NOW + 9)
    changed = await store.ensure_user(later)
    assert (changed.username, changed.email, changed.role) == ("anna", "anna@example.org", "admin")
    assert (changed.created_at, changed.last_seen, changed.active) == (NOW, NOW + 1, False)
    assert await store.user("1") == changed
    assert await store.count_users() == 1


async def test_ensuring_never_conflicts(store: Store) -> None:
    """A user with a password whose token claims another's name keeps its own, and takes the role over."""
    await store.create_user(user("1", username="ann"), "hash")
    await store.create_user(user("2", username="bob", email="bob@example.org"), "hash")
    kept = await store.ensure_user(user("2", username="ANN", role="moderator"))
    assert (kept.username, kept.email, kept.role) == ("bob", "bob@example.org", "moderator")
    assert await store.user("2") == kept


async def test_many_users_arrive_at_once(store: Store) -> None:
    """A storm of new users is stored whole."""
    storm = [user(f"{n:04}") for n in range(600)]
    assert await asyncio.gather(*map(store.ensure_user, storm)) == storm
    await asyncio.gather(*(store.set_last_seen(u.id, NOW + n) for n, u in enumerate(storm)))
    assert await store.count_users() == 600
    last = await store.user("0599")
    assert last is not None
    assert last.last_seen == NOW + 599


async def test_passwords_and_activity_can_be_set(store: Store) -> None:
    """A password makes a foreign user able to log in, unless the name is taken."""
    await people(store, "ann")
    await store.set_password("ann", "new hash")
    found = await store.credentials("ann")
    assert found is not None
    assert found.password_hash == "new hash"
    await store.ensure_user(user("2", username="ANN"))
    with pytest.raises(Conflict) as refusal:
        await store.set_password("2", "hash")
    assert refusal.value.what == "username"
    assert await store.set_active("ann", False) is True
    assert await store.set_active("nobody", False) is False
    stored = await store.user("ann")
    assert stored is not None
    assert stored.active is False


async def test_listing_pages_through_equal_names(store: Store) -> None:
    """Pages join without loss or repeat, also where a name occurs more often than a page is long."""
    users = [
        user(f"id-{n}", username=name) for n, name in enumerate(["bob", "ann", "bob", "bob", "cat", "bob"])
    ]
    for one in users:
        await store.ensure_user(one)
    pages, after = [], ""
    while page := await store.list_users(after, 2):
        pages += page
        after = page[-1].id
    assert pages == sorted(users, key=lambda u: (u.username, u.id))


async def test_a_refresh_token_works_once(store: Store) -> None:
    """Of many takers one gets the user; expired and unknown tokens give nobody."""
    await people(store, "ann")
    await store.save_refresh_token(RefreshToken(token_hash=b"one", user_id="ann", expires_at=NOW + 10))
    await store.save_refresh_token(RefreshToken(token_hash=b"old", user_id="ann", expires_at=NOW))
    taken = await asyncio.gather(*(store.take_refresh_token(b"one", NOW) for _ in range(10)))
    assert sorted(taken, key=str) == [None] * 9 + ["ann"]
    assert await store.take_refresh_token(b"old", NOW) is None
    assert await store.take_refresh_token(b"unknown", NOW) is None


async def test_refresh_tokens_of_a_user_can_be_dropped(store: Store) -> None:
    """All of that user's are gone, nobody else's."""
    await people(store, "ann", "bob")
    for token_hash, user_id in ((b"one", "ann"), (b"two", "ann"), (b"three", "bob")):
        token = RefreshToken(token_hash=token_hash, user_id=user_id, expires_at=NOW + 10)
        await store.save_refresh_token(token)
    await store.drop_refresh_tokens("ann")
    taken = [await store.take_refresh_token(token_hash, NOW) for token_hash in (b"one", b"two", b"three")]
    assert taken == [None, None, "bob"]


async def test_expired_refresh_tokens_are_forgotten(store: Store) -> None:
    """Cleaning up counts what it forgets and keeps what is good."""
    await people(store, "ann")
    for n in range(4):
        await store.save_refresh_token(RefreshToken(token_hash=bytes([n]), user_id="ann", expires_at=NOW + n))
    assert await store.delete_expired(NOW + 1) == 2
    assert await store.take_refresh_token(bytes([3]), NOW) == "ann"
