"""Everybody in one room, and a fixed number of messages in flight: what a delivery costs."""

from dataclasses import dataclass

from benchmarks.load.plan import Plan, Tally
from benchmarks.load.spawn import carry_out
from benchmarks.load.verdict import disturbances, objections
from benchmarks.peers.peer import Venue
from benchmarks.scenarios.scenario import Bar, Conditions, Measurement, Metric

_METRICS = (
    Metric("deliveries_per_second", "deliveries/s", ranged=True),
    Metric("cpu_microseconds_per_delivery", "us/delivery", ".2f", ranged=True),
    Metric("messages_per_second", "messages/s"),
    Metric("server_cpu_share", "CPU", ".0%"),
    Metric("load_cpu_share", "load CPU", ".0%"),
)


@dataclass(frozen=True, slots=True)
class BigRoom:
    """N in flight: N of the members have one message without an ack each, or one member has all N."""

    members: int
    in_flight: int
    bars: tuple[Bar, ...] = ()
    one_sender: bool = False

    @property
    def name(self) -> str:
        """Members, messages in flight, and whose."""
        sender = ", one sender" if self.one_sender else ""
        return f"{self.members} in one room, {self.in_flight} in flight{sender}"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The same for all rooms."""
        return _METRICS

    def measure(self, venue: Venue, conditions: Conditions) -> Measurement:
        """One room of a fresh server, from the first connection to the last delivery."""
        room = venue.open_room(self.members)
        plan = Plan(
            host=venue.address.host,
            port=venue.address.port,
            server=venue.address.process,
            chat=room.chat,
            auths=room.auths,
            senders=1 if self.one_sender else self.in_flight,
            window=self.in_flight if self.one_sender else 1,
            warm=conditions.warm,
            measure=conditions.measure,
        )
        tally = carry_out(plan, conditions.core, conditions.tell)
        wrong, disturbed = objections(tally), disturbances(tally)
        return Measurement({} if wrong or disturbed else _values(tally), wrong, disturbed)


def _values(tally: Tally) -> dict[str, float]:
    return {
        "deliveries_per_second": tally.deliveries / tally.seconds,
        "cpu_microseconds_per_delivery": tally.server_cpu / tally.deliveries * 1e6,
        "messages_per_second": tally.messages / tally.seconds,
        "server_cpu_share": tally.server_cpu / tally.seconds,
        "load_cpu_share": tally.own_cpu / tally.seconds,
    }


def _bar(times: float) -> tuple[Bar, ...]:
    return (Bar("deliveries_per_second", "node", times),)


CASES = (BigRoom(500, 4, _bar(2)), BigRoom(500, 64, _bar(6)))
ONE_SENDER_CASES = (BigRoom(500, 4, one_sender=True), BigRoom(500, 64, one_sender=True))
