"""Rows of the section "Connection Monitoring"."""

from tests.api import objects
from tests.api.table.cast import Cast, Expected, Rows

rows = Rows()


@rows("monitoring:metrics")
async def metrics(cast: Cast) -> Expected:
    """Anybody asks for the figures of the server."""
    return Expected({}, {"success": True, "metrics": objects.METRICS})


@rows("monitoring:events")
async def events(cast: Cast) -> Expected:
    """A user asks for its own arrival."""
    me = cast.me
    arrival = {
        **objects.CONNECTION_EVENT,
        "type": "connect",
        "socketId": me.sid,
        "userId": me.user.id,
    }
    payload = {"limit": 50, "type": "connect", "userId": me.user.id, "ip": "127.0.0.1"}
    return Expected(payload, {"success": True, "events": [arrival]})


@rows("monitoring:stats")
async def stats(cast: Cast) -> Expected:
    """A user who is no admin sees no addresses and agents."""
    figures = {**objects.MONITORING_STATS, "topIPs": [], "topUserAgents": []}
    return Expected({}, {"success": True, "stats": figures})


@rows("monitoring:health")
async def health(cast: Cast) -> Expected:
    """Anybody asks how the server is."""
    return Expected({}, {"success": True, "health": objects.HEALTH})
