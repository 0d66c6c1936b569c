"""What the load generator is told, and what it tells: plain data that crosses a process border as JSON."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """One chat room and what its members do: all read, the first `senders` of an even spread also send.

    A sender has `window` messages without an ack at a time and sends the next one when an ack comes, so that
    `senders * window` messages are in flight. `warm` and `measure` are seconds; `server` is the process whose
    CPU is measured; `auths` holds one CONNECT payload per member.
    """

    host: str
    port: int
    server: int
    chat: str
    auths: tuple[dict[str, str], ...]
    senders: int
    window: int = 1
    warm: float = 1.0
    measure: float = 4.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What was measured between two edges of the clock, and what was wrong from first to last.

    `*_cpu` is the CPU time used, `*_waited` the time spent runnable without a core, `taken` the time that the
    server's core gave to other programs: all in seconds, within the measured `seconds`. A delivery is a
    `message:new` received whole by one member.
    """

    seconds: float
    deliveries: int
    messages: int
    server_cpu: float
    server_waited: float
    own_cpu: float
    own_waited: float
    taken: float
    sent: int
    acknowledged: int
    broadcast: int
    lost: int
    repeated: int
    swapped: int
    problems: tuple[str, ...] = ()
