"""Pages for people: a landing page, and one to try the HTTP API. They load nothing from elsewhere."""

from functools import cache
from importlib.resources import files
from typing import Final

from litestar import Response, get

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css"}


@cache
def read(name: str) -> str:
    """A file of the pages."""
    return files("hubbub.http").joinpath("pages", name).read_text(encoding="utf-8")


def page(name: str) -> Response[str]:
    """Answer with a file of the pages."""
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache"}
    # litestar adds the charset to every kind of text.
    return Response(read(name), media_type=KINDS[name.rpartition(".")[2]], headers=headers)


@get("/", include_in_schema=False, sync_to_thread=False)
def landing() -> Response[str]:
    """The landing page."""
    return page("index.html")


@get("/api/v1/docs", include_in_schema=False, sync_to_thread=False)
def explorer() -> Response[str]:
    """The page to try the API."""
    return page("docs.html")


@get("/api/v1/docs/docs.js", include_in_schema=False, sync_to_thread=False)
def script() -> Response[str]:
    """Its script."""
    return page("docs.js")


@get("/api/v1/docs/docs.css", include_in_schema=False, sync_to_thread=False)
def style() -> Response[str]:
    """Its style."""
    return page("docs.css")
