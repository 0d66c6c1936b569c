"""Routes for probes and scrapers: alive, ready, metrics. They need no token and tell no secret."""

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from hubbub.contract import rest
from hubbub.http.metrics import CONTENT_TYPE
from hubbub.http.places import MetricsPart, ProblemsPart

UNREADY = {503: ResponseSpec(rest.Ready, description="Not ready, and why", generate_examples=False)}


@get("/health/live", summary="Does the server run?", tags=["Health"], security=[{}])
async def live() -> rest.Live:
    """Answer that it does."""
    return rest.Live()


@get("/health/ready", summary="Can it take requests?", tags=["Health"], security=[{}], responses=UNREADY)
async def ready(problems: ProblemsPart) -> Response[rest.Ready]:
    """Answer 200 when it can, 503 with the reasons when it cannot."""
    found = await problems()
    status = "unavailable" if found else "ok"
    return Response(rest.Ready(status=status, problems=found), status_code=503 if found else 200)


@get("/metrics", summary="Metrics for Prometheus", tags=["Health"], security=[{}], media_type="text/plain")
async def scrape(metrics: MetricsPart) -> Response[bytes]:
    """Answer in the text format."""
    return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})
