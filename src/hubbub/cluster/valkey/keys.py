"""The keys of the registry, all in one slot of a cluster; and what is written into them.

users                 zset, by id        everybody present
user:ID               hash               node -> the user's sockets there; gone when there are none
gone                  hash               user without sockets -> the last departure
leaving               zset, by time      users without sockets
away, busy            sets               users with that status; the rest is online
seen                  hash               user -> time of the last activity
in:CHAT               zset, by id        users in a room
at:CHAT USER          hash               node -> how many sockets the user has there in the room
typing:CHAT           zset, by time      users typing
types:USER            hash               chat -> what is known of the user's typing there
typists               set                users typing anywhere
nodes                 zset, by time      nodes and the end of their leases
reaping               zset, by time      dead nodes that are being cleared away
epoch                 string             made anew when everything was lost
node:NODE:fence       string             only while it exists may the node write
node:NODE:place       string             where other nodes find it, and its key
node:NODE:users, node:NODE:places, node:NODE:types    sets of what the node has to answer for
"""

from dataclasses import dataclass

import msgspec

from hubbub.cluster.base import Connection, PresentUser, TypingEntry

SEPARATOR = "\0"
"""Between two ids: no id has it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A user's sockets on one node: when the first of them connected, and the newest."""

    connected_at: int
    newest: Connection

    @classmethod
    def of(cls, user: PresentUser) -> "Entry":
        """Return what a node says of its user."""
        return cls(connected_at=user.connected_at, newest=user.newest)


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """A departure, and what the user's last sockets were."""

    number: int
    entry: Entry


class TypingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is typing, by a socket of a node."""

    entry: TypingEntry
    node: str


encode = msgspec.json.Encoder().encode
decode_entry = msgspec.json.Decoder(Entry).decode
decode_gone = msgspec.json.Decoder(Gone).decode
decode_typing = msgspec.json.Decoder(TypingRecord).decode


@dataclass(frozen=True, slots=True)
class Keys:
    """Makes the keys. `prefix` sets servers apart that share a Valkey."""

    prefix: str

    def __call__(self, name: str, *ids: str) -> str:
        """Return a key."""
        return f"{self.prefix}{{registry}}:{':'.join((name, *ids))}"

    def place(self, chat_id: str, user_id: str) -> str:
        """Return the key of a user in a room."""
        return self("at", f"{chat_id}{SEPARATOR}{user_id}")

    def of_node(self, node: str, name: str) -> str:
        """Return a key that belongs to a node."""
        return self("node", node, name)
