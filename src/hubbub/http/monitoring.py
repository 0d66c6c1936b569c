"""Routes of monitoring: what admins see of the whole server, or of one node by its name."""

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from hubbub.chat.access import check_server_admin
from hubbub.contract import answers, rest
from hubbub.contract.requests import ConnectionEvents
from hubbub.contract.values import ConnectionEventType
from hubbub.http.failures import documented
from hubbub.http.places import NodeName, OverviewPart, Who

REFUSED = documented(400, 401, 403, 404, 429, 503)

EventLimit = Annotated[int, QueryParameter(ge=1, le=1000, description="Most events")]
EventType = Annotated[ConnectionEventType | None, QueryParameter(description="Only events of this kind")]
OfUser = Annotated[
    str | None,
    QueryParameter(name="userId", min_length=1, max_length=128, description="Only events of this user"),
]
OfAddress = Annotated[
    str | None, QueryParameter(min_length=1, max_length=128, description="Only events of this address")
]


@get("/metrics", summary="Connection figures (admins)", responses=REFUSED)
async def metrics(who: Who, overview: OverviewPart, node: NodeName = None) -> answers.Metrics:
    """Answer as `monitoring:metrics` does."""
    check_server_admin(who)
    return await overview.metrics(node)


def wanted_events(
    limit: EventLimit = 100,
    type: EventType = None,  # noqa: A002 - the name in the query
    user_id: OfUser = None,
    ip: OfAddress = None,
    node: NodeName = None,
) -> ConnectionEvents:
    """Which events are asked for."""
    return ConnectionEvents(limit=limit, type=type, user_id=user_id, ip=ip, node=node)


@get(
    "/events",
    summary="The newest connection events (admins)",
    responses=REFUSED,
    dependencies={"wanted": Provide(wanted_events, sync_to_thread=False)},
)
async def events(
    who: Who, overview: OverviewPart, wanted: NamedDependency[ConnectionEvents]
) -> answers.ConnectionEvents:
    """Answer as `monitoring:events` does."""
    check_server_admin(who)
    return await overview.events(who, wanted)


@get("/stats", summary="Figures, newest events, busiest addresses and clients (admins)", responses=REFUSED)
async def stats(who: Who, overview: OverviewPart, node: NodeName = None) -> answers.MonitoringStats:
    """Answer as `monitoring:stats` does."""
    check_server_admin(who)
    return await overview.stats(who, node)


@get("/health", summary="How the server is, and what to do about it (admins)", responses=REFUSED)
async def health(who: Who, overview: OverviewPart, node: NodeName = None) -> answers.Health:
    """Answer as `monitoring:health` does."""
    check_server_admin(who)
    return await overview.health(node)


@get("/nodes", summary="The nodes of the server (admins)", responses=documented(401, 403, 429))
async def nodes(who: Who, overview: OverviewPart) -> rest.NodeList:
    """Answer with the names that `node` takes elsewhere."""
    check_server_admin(who)
    return await overview.list()


monitoring = Router(
    "/monitoring", route_handlers=[metrics, events, stats, health, nodes], tags=["Monitoring"]
)
