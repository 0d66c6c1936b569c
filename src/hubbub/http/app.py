"""The HTTP API as one ASGI application, built from its parts."""

from typing import Final, cast

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.types import Scope

from hubbub import __version__
from hubbub.http import accounts, asgi, chats, docs, health, monitoring
from hubbub.http.bearer import given, identify
from hubbub.http.bodies import MAX_BODY
from hubbub.http.failures import HANDLERS
from hubbub.http.front import Front
from hubbub.http.parts import HttpParts

ABOUT: Final = """The HTTP side of a chat server whose messages travel by Socket.IO, in the namespace `/chat`.

Send an access token as `Authorization: Bearer ...`: the one that `/auth/login` gives, or one of your own
application. A request that fails is answered `{success: false, message, code, details?, retryAfter?}`.
"""


def make_http(parts: HttpParts) -> asgi.Application:
    """Build the application for everything but the sockets' path."""
    api = Router(
        "/api/v1",
        route_handlers=[
            accounts.auth,
            accounts.users,
            chats.chats,
            monitoring.monitoring,
            health.live,
            health.ready,
            health.scrape,
        ],
    )
    probes = Router(
        "/",
        route_handlers=[health.live, health.ready, health.scrape],
        include_in_schema=False,
    )
    pages = [docs.landing, docs.explorer, docs.script, docs.style]
    app = Litestar(
        route_handlers=[api, probes, *pages],
        dependencies=dependencies(parts),
        exception_handlers=HANDLERS,
        request_max_body_size=MAX_BODY,
        openapi_config=openapi(),
        logging_config=None,
        return_dto=None,
    )
    routes = [
        f"{method} {route.path_format}" for route in app.routes for method in getattr(route, "methods", ())
    ]
    durations = parts.metrics.durations(
        "hubbub_http_request_duration_seconds", "Time to answer an HTTP request", "route", routes
    )
    return Front(cast("asgi.Application", app), parts.origin_allowed, durations)


def dependencies(parts: HttpParts) -> dict[str, Provide]:
    """What routes may ask for by a parameter's name."""

    def address(scope: Scope) -> str:
        return parts.address_of(cast("asgi.Scope", scope))

    return {
        "tokens": given(parts.tokens),
        "limits": given(parts.limits),
        "accounts": given(parts.accounts),
        "chats": given(parts.chats),
        "overview": given(parts.overview),
        "metrics": given(parts.metrics),
        "problems": given(parts.problems),
        "who": Provide(identify),
        "address": Provide(address, sync_to_thread=False),
    }


def openapi() -> OpenAPIConfig:
    """What the OpenAPI document says beside the routes."""
    bearer = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
    return OpenAPIConfig(
        title="hubbub",
        version=__version__,
        description=ABOUT,
        license=License(name="MIT", identifier="MIT"),
        components=Components(security_schemes={"bearer": bearer}),
        security=[{"bearer": []}],
        use_handler_docstrings=False,
        path="/api/v1/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
    )
