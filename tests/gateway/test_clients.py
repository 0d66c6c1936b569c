"""Clients are findable from before they are let in until everything about them is cleared away."""

import asyncio
from typing import cast

from hubbub.chat.trail import Trail
from hubbub.cluster.base import Connection
from hubbub.gateway.clients import Client, Clients
from hubbub.socketio import Socket


class FakeSocket:
    """Counts how often it was disconnected."""

    def __init__(self) -> None:
        self.disconnected = 0

    def disconnect(self, *, close: bool = False) -> None:
        """Be disconnected."""
        assert close
        self.disconnected += 1


def make_client(socket_id: str) -> tuple[Client, FakeSocket]:
    """A client with that socket id, on its way in."""
    socket = FakeSocket()
    who = Connection(
        socket_id=socket_id,
        user_id="ada",
        username="ada",
        email=None,
        role="user",
        address="127.0.0.1",
        user_agent="",
        connected_at=0,
    )
    return Client(cast("Socket", socket), who, Trail(who, offer_pid=False), 0), socket


async def test_a_socket_id_belongs_to_one_client_at_a_time() -> None:
    """Whoever takes over an id waits until everything about its holder has been cleared away."""
    clients = Clients()
    holder, socket = make_client("s")
    await clients.add(holder)
    holder.is_in = True
    heir, _ = make_client("s")
    adding = asyncio.create_task(clients.add(heir))
    await asyncio.sleep(0)
    assert socket.disconnected == 1
    assert clients.find("s") is holder
    clients.discard(holder)
    await adding
    assert clients.find("s") is heir
    assert list(clients.of_user("ada")) == [heir]


async def test_who_is_told_to_go_on_the_way_in_goes_once_in() -> None:
    """A client that is switched off before its welcome is found, and disconnected with the welcome."""
    clients = Clients()
    client, socket = make_client("s")
    await clients.add(client)
    (found,) = clients.of_user("ada")
    found.end()
    assert found.is_over
    assert socket.disconnected == 0
    client.is_in = True
    client.end()
    assert socket.disconnected == 1


async def test_nothing_is_left_of_those_who_are_gone() -> None:
    """Also of one who was never let in, or whose id another one holds."""
    clients = Clients()
    client, _ = make_client("s")
    stranger, _ = make_client("s")
    await clients.add(client)
    clients.discard(stranger)
    assert len(clients) == 1
    clients.discard(client)
    assert len(clients) == 0
    assert not clients.of_user("ada")
