"""Logging: every part logs by the standard library; here lines get their form and their way out, stderr."""

import logging
import sys

import structlog
from structlog.typing import Processor

# Libraries that have something to say about each request, or only about themselves. uvicorn warns of every
# malformed request, which anybody can send by the thousand.
_QUIET = {"uvicorn.error": logging.ERROR, "alembic": logging.WARNING, "sqlalchemy": logging.WARNING}


def configure(level: str, form: str) -> None:
    """Write log lines of at least `level` to stderr, for people (`console`) or as JSON (`json`).

    Control characters in values are escaped in both, so that nobody can forge lines.
    """
    shared: list[Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _escape,
    ]
    renderer: Processor
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def _escape(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    text = str(entry.get("event", ""))
    if not text.isprintable():
        entry["event"] = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
    return entry
