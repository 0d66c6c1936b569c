"""What the load generator is told, and what it tells: plain data that crosses a process border as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, slots=True)
class Room:
    """A chat that `len(auths)` clients may join, each with its own CONNECT payload."""

    chat: str
    auths: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect to; `server` is the process whose CPU is measured, with its children.

    A server of several nodes has `ports` of the further ones, and `beside` are the processes of those and of
    what they share.
    """

    host: str
    port: int
    server: int
    ports: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()

    @property
    def processes(self) -> tuple[int, ...]:
        """All that are measured."""
        return (self.server, *self.beside)

    def port_of(self, number: int) -> int:
        """Where a client connects to: one node after the other."""
        return (self.port, *self.ports)[number % (1 + len(self.ports))]


class RoomsPlan(msgspec.Struct, frozen=True, tag="rooms"):
    """Chat rooms and what their members do: all read, and `senders` of each, evenly spread, also send.

    A sender has `window` messages without an ack at a time and sends the next one when an ack comes, so that
    `len(rooms) * senders * window` messages are in flight. `warm` and `measure` are seconds. The last `slow`
    members of a room read nearly nothing until the measuring is over. `content` is the size of a message.
    Not `ordered`, members may get messages of different senders in different orders.
    """

    endpoint: Endpoint
    rooms: tuple[Room, ...]
    senders: int
    window: int = 1
    warm: float = 1.0
    measure: float = 4.0
    slow: int = 0
    content: int = 43
    ordered: bool = True


class SignalsPlan(msgspec.Struct, frozen=True, tag="signals"):
    """Chat rooms in which everybody types and reads as fast as the answers come, `messages` of each room."""

    endpoint: Endpoint
    rooms: tuple[Room, ...]
    messages: int
    warm: float
    measure: float


class LatencyPlan(msgspec.Struct, frozen=True, tag="latency"):
    """Chat rooms into which `rate` messages a second are sent, whatever comes back."""

    endpoint: Endpoint
    rooms: tuple[Room, ...]
    rate: float
    warm: float
    measure: float


class RecoveryPlan(msgspec.Struct, frozen=True, tag="recovery"):
    """Chat rooms whose members are cut off, all but the first, and return when `messages` have been sent."""

    endpoint: Endpoint
    rooms: tuple[Room, ...]
    messages: int
    in_flight: int


class PresencePlan(msgspec.Struct, frozen=True, tag="presence"):
    """Users of chat rooms who come, a fifth of whom drops and returns, and leave, but for a tenth.

    With `to_chats` only those who share a chat are told of somebody; otherwise everybody is. `grace` is how
    long, in seconds, the server may wait before it tells of a departure.
    """

    endpoint: Endpoint
    rooms: tuple[Room, ...]
    in_flight: int
    to_chats: bool
    grace: float


class ConnectPlan(msgspec.Struct, frozen=True, tag="connect"):
    """Clients that come in as fast as the server lets them, `in_flight` at a time, and stay till it is quiet.

    With `polling` they begin on long-polling and upgrade as the stock client does.
    """

    endpoint: Endpoint
    auths: tuple[dict[str, str], ...]
    in_flight: int
    polling: bool = False


class IdlePlan(msgspec.Struct, frozen=True, tag="idle"):
    """Clients that come in and do nothing, but for their heartbeats, for `seconds`."""

    endpoint: Endpoint
    auths: tuple[dict[str, str], ...]
    in_flight: int
    seconds: float


Plan = RoomsPlan | SignalsPlan | LatencyPlan | RecoveryPlan | PresencePlan | ConnectPlan | IdlePlan


@dataclass(frozen=True, slots=True)
class Effort:
    """What it took between two edges of the clock, all in seconds.

    `*_cpu` is the CPU time used, `*_waited` the time spent runnable without a core, `taken` the time that the
    server's core gave to other programs.
    """

    seconds: float
    server_cpu: float
    server_waited: float
    own_cpu: float
    own_waited: float
    taken: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages from first to last: how many, and the deliveries that were not as they should be."""

    sent: int
    acknowledged: int
    broadcast: int
    lost: int
    repeated: int
    swapped: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What was measured, and what was wrong from first to last. The keys of `figures` are the plan's own."""

    effort: Effort
    figures: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    counts: Counts | None = None
