"""What the suite asks of a peer: can it run here, and serve rooms to so many clients."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.load.plan import Endpoint, Room
from benchmarks.processes import Address


@dataclass(frozen=True, slots=True)
class Venue:
    """A peer that is serving.

    `open_rooms(sizes)` prepares a chat for so many clients each, `users(count)` the CONNECT payloads of
    clients that enter no room. No user of either is used twice.
    """

    address: Address
    open_rooms: Callable[[Sequence[int]], tuple[Room, ...]]
    users: Callable[[int], tuple[dict[str, str], ...]]
    presence_to_chats_above: int | None = None
    """Users from whose number on only those who share a chat are told of somebody's presence."""
    offline_grace: float = 0.0
    """How long, in seconds, a user without connections is not called offline yet."""
    ports: tuple[int, ...] = ()
    """Of the further nodes, where there are several."""
    beside: tuple[int, ...] = ()
    """The processes of the further nodes and of what they share."""
    ordered: bool = True
    """Whether all members of a room get its messages in the same order."""

    @property
    def endpoint(self) -> Endpoint:
        """For the load generator."""
        address = self.address
        return Endpoint(address.host, address.port, address.process, self.ports, self.beside)


class Peer(Protocol):
    """A server under test."""

    @property
    def name(self) -> str:
        """On the command line and in the results."""

    @property
    def title(self) -> str:
        """In the table."""

    def missing(self) -> str | None:
        """Why it cannot run here and what to do about it; None when it can."""

    def versions(self) -> dict[str, str]:
        """Of the programs and libraries that do the work; called only when nothing is missing."""

    def serve(self, folder: Path, core: int | None, extras: frozenset[str]) -> AbstractContextManager[Venue]:
        """A fresh server on `core` with its files in the empty `folder`. Raises PeerError.

        `extras` are what a scenario needs beyond rooms and messages: `presence`, `recovery`. hubbub always
        has them, the others only when they are asked for. With `nodes` two nodes serve together, with
        `worker` and `workers` one or two workers do, on all cores; not every peer can.
        """
