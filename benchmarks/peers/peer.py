"""What the suite asks of a peer: can it run here, and serve a room to so many clients."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.processes import Address


@dataclass(frozen=True, slots=True)
class Room:
    """A chat that `len(auths)` clients may join, each with its own CONNECT payload."""

    chat: str
    auths: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Venue:
    """A peer that is serving. `open_room(members)` prepares a chat for that many clients."""

    address: Address
    open_room: Callable[[int], Room]


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

    def serve(self, folder: Path, core: int | None) -> AbstractContextManager[Venue]:
        """A fresh server on `core` with its files in the empty `folder`. Raises PeerError."""
