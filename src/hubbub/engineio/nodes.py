"""The other nodes, as an engine knows them: where they are, and whose session an id is.

A session's id begins with the name of its node. What finds the others is given to the engine.
"""

from dataclasses import dataclass
from typing import Protocol

_SEPARATOR = "."
"""Between a node's name and the rest: no other part of an id has it."""

ELSEWHERE = "elsewhere"
"""In the ASGI state of a request that the door has let pass: its `Elsewhere`."""


class Place(Protocol):
    """Where a node answers the others, and the key that both sides of such a connection must know."""

    @property
    def host(self) -> str:
        """Name or address."""

    @property
    def port(self) -> int:
        """Its port for the others, not for clients."""

    @property
    def key(self) -> bytes:
        """What no client knows."""


class Nodes(Protocol):
    """This node's name, and the others that are alive."""

    name: str

    async def find(self, name: str) -> Place | None:
        """Where the node of that name is. Names come from clients: any but those of nodes are None, soon."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A request for a session that another node has, if there is one."""

    node: str


def sid_of(node: str, secret: str) -> str:
    """The id of a session of a node."""
    return f"{node}{_SEPARATOR}{secret}"


def node_of(sid: str) -> str:
    """The name of the node that a session's id tells; empty where it tells none."""
    return sid.rpartition(_SEPARATOR)[0]
