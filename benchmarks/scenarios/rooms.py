"""Everybody in rooms, and a fixed number of messages in flight: one big room, or many small ones."""

from dataclasses import dataclass, replace

from benchmarks.load.plan import RoomsPlan, Tally
from benchmarks.load.spawn import carry_out
from benchmarks.load.verdict import disturbances
from benchmarks.peers.peer import Venue
from benchmarks.scenarios.scenario import (
    BIG_ROOMS_ONLY,
    ONE_NODE_ONLY,
    Bar,
    Conditions,
    Measurement,
    Metric,
    Terms,
    against_python,
    measurement,
)

_THOUSANDS = 1000
"""Members of a room from which on a short run makes do with fewer."""
_DELIVERIES = Metric("deliveries_per_second", "deliveries/s", ranged=True, title="deliveries per second")
_PER_DELIVERY = Metric(
    "cpu_microseconds_per_delivery",
    "us/delivery",
    ".2f",
    ranged=True,
    less=True,
    title="server CPU per delivery, microseconds",
)
MESSAGES = Metric("messages_per_second", "messages/s", ranged=True, title="messages per second")
_PER_MESSAGE = Metric(
    "cpu_microseconds_per_message",
    "us/message",
    ".1f",
    ranged=True,
    less=True,
    title="server CPU per message, microseconds",
)
_SHARES = (Metric("server_cpu_share", "CPU", ".0%"), Metric("load_cpu_share", "load CPU", ".0%"))


@dataclass(frozen=True, slots=True)
class Rooms(Terms):
    """In each room `senders` of the members have one message without an ack each, or one has `window`."""

    name: str
    metrics: tuple[Metric, ...]
    count: int
    members: int
    senders: int
    window: int = 1

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """The rooms of a fresh server, from the first connection to the last delivery."""
        members = self.members if self.members < _THOUSANDS else conditions.scaled(self.members)
        plan = RoomsPlan(
            endpoint=venue.endpoint,
            rooms=venue.open_rooms((members,) * self.count),
            senders=self.senders,
            window=self.window,
            warm=conditions.warm,
            measure=conditions.measure,
            ordered=venue.ordered,
        )
        tally = carry_out(plan, conditions.core, conditions.tell)
        return measurement(lambda: _values(tally), tally.problems, disturbances(tally.effort))


def _values(tally: Tally) -> dict[str, float]:
    effort, figures = tally.effort, tally.figures
    return {
        "deliveries_per_second": figures["deliveries"] / effort.seconds,
        "messages_per_second": figures["messages"] / effort.seconds,
        "cpu_microseconds_per_delivery": effort.server_cpu / figures["deliveries"] * 1e6,
        "cpu_microseconds_per_message": effort.server_cpu / figures["messages"] * 1e6,
        "server_cpu_share": effort.server_cpu / effort.seconds,
        "load_cpu_share": effort.own_cpu / effort.seconds,
    }


def big_room(
    members: int, in_flight: int, *bars: Bar, one_sender: bool = False, rounds: int | None = None
) -> Rooms:
    """N in flight: N of the members have one message without an ack each, or one member has all N."""
    return Rooms(
        name=f"{members} in one room, {in_flight} in flight{', one sender' if one_sender else ''}",
        metrics=(_DELIVERIES, _PER_DELIVERY, replace(MESSAGES, title=""), *_SHARES),
        count=1,
        members=members,
        senders=1 if one_sender else in_flight,
        window=in_flight if one_sender else 1,
        bars=(*bars, against_python(_DELIVERIES)),
        rounds=rounds,
    )


def several_nodes(members: int, in_flight: int, *bars: Bar) -> Rooms:
    """Two nodes that share the members of one room."""
    return replace(
        big_room(members, in_flight),
        name=f"{members} in one room on 2 nodes, {in_flight} in flight",
        bars=bars,
        without=ONE_NODE_ONLY,
        extras=frozenset({"nodes"}),
    )


def small_rooms(count: int, *bars: Bar) -> Rooms:
    """Five members a room, and all of them send."""
    return Rooms(
        name=f"{count} rooms of 5, everyone sends",
        metrics=(MESSAGES, _PER_MESSAGE, replace(_DELIVERIES, title=""), *_SHARES),
        count=count,
        members=5,
        senders=5,
        bars=(*bars, against_python(MESSAGES)),
        without=BIG_ROOMS_ONLY,
    )
