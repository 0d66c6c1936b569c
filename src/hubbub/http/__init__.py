"""The other front door: the HTTP API under /api/v1, its OpenAPI pages, health and metrics.

    request -> `front` (origin, headers, timing) -> litestar -> bearer, rate -> body, typed -> a route -> chat
                                                 any exception -> `failures` -> the same failure as on a
                                                 socket

`make_http` builds it from `HttpParts`; `Metrics` collects what the other parts count.
"""

from hubbub.http.app import make_http
from hubbub.http.metrics import Durations, Metrics
from hubbub.http.parts import HttpParts

__all__ = ["Durations", "HttpParts", "Metrics", "make_http"]
