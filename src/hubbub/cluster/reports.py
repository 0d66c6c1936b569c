"""What nodes ask each other about themselves, and report: for monitoring.

A report is bounded: so many events, so many addresses and clients, and no text of any length that a client
likes. It travels whole, in one frame of the bus.
"""

from typing import Annotated, Final, TypeAlias

import msgspec

from hubbub.contract.requests import ConnectionEvents
from hubbub.contract.values import ConnectionEventType, HealthStatus

MOST_EVENTS: Final = 1000
"""Events in one report: as many as can be asked for."""

MOST_COUNTED: Final = 500
"""Addresses in one report, and clients: the busiest."""

MOST_FINDINGS: Final = 32

LONGEST_TEXT: Final = 256

Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Details: TypeAlias = dict[str, Text | int | float | bool | None]
Counts: TypeAlias = Annotated[dict[Text, int], msgspec.Meta(max_length=MOST_COUNTED)]


class Event(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Something that happened to a connection, at a time in Unix milliseconds.

    Kept by the thousand: the wire form is made when somebody asks.
    """

    type: ConnectionEventType
    socket_id: Text | None
    user_id: Text | None
    address: Text
    user_agent: Text
    at: int
    details: Details


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one node since `since` (Unix milliseconds), and counts of late, so that they can be added up.

    `ended_ms` is how long all connections that ended had lasted; `attempts` and `failures` are those of the
    window of the error rate.
    """

    total: int
    active: int
    peak: int
    failed: int
    ended: int
    ended_ms: int
    per_minute: int
    attempts: int
    failures: int
    since: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a node, and what to do about it."""

    status: HealthStatus
    issue: Text
    advice: Text


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted beside the figures: events that match, of `only_of` alone when given; the busiest
    addresses and clients; a judgement.
    """

    events: ConnectionEvents | None = None
    only_of: str | None = None
    busiest: bool = False
    health: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a node tells of itself. `host` and `pid` say which process it is; events come oldest first."""

    node: str
    host: Text
    pid: int
    figures: Figures
    events: Annotated[list[Event], msgspec.Meta(max_length=MOST_EVENTS)] = []
    addresses: Counts = {}
    agents: Counts = {}
    findings: Annotated[list[Finding], msgspec.Meta(max_length=MOST_FINDINGS)] = []
