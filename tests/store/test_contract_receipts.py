"""What every store promises of receipts."""

import asyncio
import random

import pytest

from hubbub.store.base import MessageMissing, NotMember, ReceiptKind, Store, Unstorable
from hubbub.store.records import DeliveryStatus, Message, Receipt
from tests.store.conftest import Opener
from tests.store.samples import NOW, ids, message, people, room, say, unread


def receipt(message: Message, delivered: int, read: int) -> Receipt:
    """A new receipt of a message, with its counts."""
    return Receipt(
        message_id=message.id,
        seq=message.seq,
        sender_id=message.user_id,
        delivered_count=delivered,
        read_count=read,
    )


async def test_a_receipt_is_told_once_with_its_counts(store: Store) -> None:
    """The first confirmation is new, the second is not; reading implies delivered."""
    await room(store, "a", "ann", "bob", "cat")
    one, two = await say(store, "a", "ann", "one", "two")
    assert await store.confirm("a", "bob", [one.id], "delivered", NOW) == [receipt(one, 1, 0)]
    assert await store.confirm("a", "bob", [one.id], "delivered", NOW) == []
    assert await store.confirm("a", "bob", [one.id, two.id], "read", NOW) == [
        receipt(one, 1, 1),
        receipt(two, 1, 1),
    ]
    assert await store.confirm("a", "bob", [one.id], "delivered", NOW) == []
    assert await store.confirm("a", "cat", [two.id, two.id], "read", NOW) == [receipt(two, 2, 2)]
    totals = await store.totals()
    assert (totals.messages, totals.delivered, totals.read) == (2, 3, 3)


async def test_own_messages_are_passed_over(store: Store) -> None:
    """Confirming one's own message succeeds and records nothing."""
    await room(store, "a", "ann", "bob")
    (own,) = await say(store, "a", "ann", "own")
    (other,) = await say(store, "a", "bob", "other")
    assert await store.confirm("a", "ann", [own.id], "read", NOW) == []
    assert await store.confirm("a", "ann", [other.id, own.id], "read", NOW) == [receipt(other, 1, 1)]
    assert (await store.delivery_status(own)).read_by == []
    assert (await store.totals()).read == 1


async def test_all_or_none_of_a_confirmation(store: Store) -> None:
    """One message that is not in the chat, and nothing is recorded; others of the batch are not disturbed."""
    await room(store, "a", "ann", "bob")
    await room(store, "b", "ann", "bob")
    (here,) = await say(store, "a", "ann", "here")
    (elsewhere,) = await say(store, "b", "ann", "elsewhere")
    answers = await asyncio.gather(
        store.confirm("a", "bob", [here.id, elsewhere.id], "read", NOW),
        store.confirm("a", "bob", [here.id, "unknown"], "read", NOW),
        store.confirm("a", "bob", ["\ud800"], "read", NOW),
        store.confirm("b", "bob", [elsewhere.id], "read", NOW),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [MessageMissing, MessageMissing, Unstorable, list]
    assert (await store.delivery_status(here)) == DeliveryStatus(delivered_to=[], read_by=[], updated_at=None)
    assert (await store.totals()).read == 1


async def test_only_members_confirm(store: Store) -> None:
    """Outsiders and former members are refused; what was recorded stays."""
    await room(store, "a", "ann", "bob")
    await people(store, "eve")
    one, two = await say(store, "a", "ann", "one", "two")
    await store.confirm("a", "bob", [one.id], "read", NOW)
    await store.remove_member("a", "bob")
    for who in ("eve", "bob"):
        with pytest.raises(NotMember):
            await store.confirm("a", who, [two.id], "read", NOW)
    assert (await store.delivery_status(one)).read_by == ["bob"]
    assert (await store.delivery_status(two)).read_by == []


async def test_delivery_status_tells_who_and_when(store: Store) -> None:
    """Recipients are listed by kind, never the sender, with the time of the newest receipt."""
    await room(store, "a", "ann", "bob", "cat", "dan")
    first, second = await say(store, "a", "ann", "one", "two")
    await store.confirm("a", "bob", [first.id], "read", NOW + 1)
    await store.confirm("a", "dan", [first.id], "delivered", NOW + 2)
    status = await store.delivery_status(first)
    assert (status.delivered_to, status.read_by, status.updated_at) == (["bob", "dan"], ["bob"], NOW + 2)
    assert (await store.delivery_status(second)).updated_at is None


async def test_confirming_five_hundred_at_once(store: Store) -> None:
    """The largest confirmation the contract allows is recorded whole, in the order asked for."""
    await room(store, "a", "ann", "bob")
    sent = [a.message for a in await asyncio.gather(*(store.append(message("a", "ann")) for _ in range(500)))]
    shuffled = random.Random(1).sample(sent, len(sent))
    receipts = await store.confirm("a", "bob", ids(shuffled), "read", NOW)
    assert [r.message_id for r in receipts] == ids(shuffled)
    assert await unread(store, "a", "bob") == 0


async def test_concurrent_confirmations_of_one_member_add_up(store: Store) -> None:
    """Confirmations that meet in one batch are each told once."""
    await room(store, "a", "ann", "bob", "cat")
    sent = await say(store, "a", "ann", *"abcdef")
    kinds: list[ReceiptKind] = ["delivered", "read"]
    answers = await asyncio.gather(
        *(
            store.confirm("a", who, [m.id], kind, NOW)
            for m in sent
            for who in ("bob", "cat")
            for kind in kinds
        )
    )
    assert sum(len(answer) for answer in answers) == 6 * 2 * 2
    totals = await store.totals()
    assert (totals.delivered, totals.read) == (12, 12)


@pytest.mark.parametrize("seed", range(8))
async def test_unread_and_receipts_agree_with_a_model(open_store: Opener, seed: int) -> None:
    """Whatever is sent, read, left and joined again: counts, lists and totals are those of plain sets."""
    store, dice = await open_store(), random.Random(seed)
    users = ["ann", "bob", "cat"]
    await room(store, "a", *users)
    joined = dict.fromkeys(users, 0)
    delivered: dict[str, set[str]] = {}
    read: dict[str, set[str]] = {}
    sent: list[Message] = []
    for _ in range(120):
        who = dice.choice(users)
        deed = dice.random()
        if deed < 0.05:
            await store.remove_member("a", who)
            await store.add_member("a", who, "member", NOW)
            joined[who] = len(sent)
        elif deed < 0.6 or not sent:
            sent += await say(store, "a", who, *("word" for _ in range(dice.randint(1, 3))))
        else:
            chosen = dice.sample(sent[-12:], dice.randint(1, min(4, len(sent))))
            kinds: list[ReceiptKind] = ["delivered", "read"]
            kind = dice.choice(kinds)
            told = await store.confirm("a", who, ids(chosen), kind, NOW)
            marked = read if kind == "read" else delivered
            new = [m for m in chosen if m.user_id != who and who not in marked.setdefault(m.id, set())]
            assert [r.message_id for r in told] == ids(new)
            for m in new:
                marked[m.id].add(who)
                delivered.setdefault(m.id, set()).add(who)
    for m in sent:
        status = await store.delivery_status(m)
        assert status.delivered_to == sorted(delivered.get(m.id, ()))
        assert status.read_by == sorted(read.get(m.id, ()))
    for who in users:
        later = [m for m in sent if m.seq > joined[who] and m.user_id != who]
        assert await unread(store, "a", who) == sum(who not in read.get(m.id, ()) for m in later)
    totals = await store.totals()
    assert totals.delivered == sum(map(len, delivered.values()))
    assert totals.read == sum(map(len, read.values()))
    await store.close()
