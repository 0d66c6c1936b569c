"""The URL of a database: how it is told to people, and what is said when nobody can connect there."""

import asyncio
import ssl
from typing import Final

import asyncpg
from asyncpg import exceptions as pg

from hubbub.store.base import StoreUnusable

CREATE: Final = "CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"
REMEDIES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (
        pg.InvalidAuthorizationSpecificationError,
        "refuses the user or the password: mind them in database_url",
    ),
    (pg.InvalidCatalogNameError, f"has no such database: make it ({CREATE})"),
    (pg.InsufficientPrivilegeError, "does not let this user make tables: GRANT CREATE ON SCHEMA public"),
    (pg.TooManyConnectionsError, "has no connection left: raise max_connections"),
    (pg.CannotConnectNowError, "is starting or stopping: try again"),
    (pg.ReadOnlySQLTransactionError, "is read-only: name the primary server"),
    (asyncpg.TargetServerAttributeNotMatched, "is no server that can be written: name the primary server"),
    (asyncio.TimeoutError, "does not answer"),
    (pg.PostgresConnectionError, "breaks the connection off: is it a PostgreSQL server?"),
)
"""What to say of an error; the first that fits."""


def shown(url: str) -> str:
    """A database's URL without user, password and options: host, port and name."""
    rest = url.partition("://")[2].rpartition("@")[2]
    return f"postgresql://{rest.partition('?')[0]}"


def unusable(url: str, error: BaseException) -> StoreUnusable:
    """Say in one line which database it is about, what is wrong and what to do. Never tells the password."""
    where = shown(url)
    for kind, remedy in REMEDIES:
        if isinstance(error, kind):
            return StoreUnusable(f"{where} {remedy}")
    if (problem := _tls_problem(url, error)) is not None:
        return StoreUnusable(f"{where} {problem}")
    if isinstance(error, OSError):
        # The driver's own words name host and port again, and with several hosts all of them.
        reason = error.strerror if error.errno is not None and error.strerror else "no server answers"
        return StoreUnusable(
            f"{where} cannot be reached ({reason.lower()}): does PostgreSQL run where database_url says?"
        )
    if isinstance(error, asyncpg.PostgresError):
        return StoreUnusable(f"{where} cannot be used: {str(error).splitlines()[0]}")
    # The driver's complaint about a URL may cite it.
    return StoreUnusable(f"{where} cannot be connected to: mind the form and the options of database_url")


def _tls_problem(url: str, error: BaseException) -> str | None:
    """What is wrong with TLS, if that is the matter: the driver has no errors of its own for it."""
    told = str(error)
    if "rejected SSL upgrade" in told:
        return "does not speak TLS: switch it on there (ssl = on), or set sslmode=disable in database_url"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"shows a certificate that is not trusted ({error.verify_message}): mind sslrootcert"
    if "root certificate file" in told or (isinstance(error, FileNotFoundError) and "sslrootcert=" in url):
        return "cannot be checked, no file has the authority: set sslrootcert=FILE in database_url"
    return None
