"""Which database the settings name, and opening it: the one place that names concrete stores."""

from pathlib import Path

from hubbub.app.errors import StartError
from hubbub.settings import Settings
from hubbub.settings.kinds import is_postgres
from hubbub.store.base import Store, StoreUnusable
from hubbub.store.postgres import PostgresStore, shown
from hubbub.store.sqlite import SqliteStore

_SQLITE = "sqlite:///"


def is_shared(settings: Settings) -> bool:
    """Whether the database is a server that other nodes use, too, and no file."""
    return is_postgres(settings.store_url)


def database_path(settings: Settings) -> Path:
    """The file of the database that the settings name; there must be one (see `is_shared`)."""
    return Path(settings.store_url.removeprefix(_SQLITE))


def database_name(settings: Settings) -> str:
    """The database as people are told of it: its file, or its URL without the password."""
    return shown(settings.store_url) if is_shared(settings) else str(database_path(settings))


def check_fits(settings: Settings) -> None:
    """Raise `StartError` when the database and the bus do not go together.

    Several nodes may write one PostgreSQL database, so each must hear of what the others commit; and a file
    has one node, so there is nobody to hear of.
    """
    if settings.workers > 1 and settings.valkey_url is None:
        raise StartError(
            "workers are several nodes, which have to hear of each other: "
            "set valkey_url (HUBBUB_VALKEY_URL) and database_url (HUBBUB_DATABASE_URL), or leave workers out"
        )
    if is_shared(settings) and settings.valkey_url is None:
        raise StartError(
            "database_url names PostgreSQL, which serves several nodes: "
            "set valkey_url (HUBBUB_VALKEY_URL), too"
        )
    if settings.valkey_url is not None and not is_shared(settings):
        raise StartError(
            "valkey_url is for several nodes, and a file serves one: "
            "set database_url (HUBBUB_DATABASE_URL) to postgresql://..., or leave valkey_url out"
        )


async def open_store(settings: Settings) -> Store:
    """Open the database, made or migrated as needed. Raises `StartError` with one readable line."""
    try:
        if is_shared(settings):
            return await PostgresStore.open(settings.store_url)
        return await _open_file(database_path(settings))
    except StoreUnusable as error:
        raise StartError(str(error)) from None


async def _open_file(path: Path) -> Store:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"cannot make the folder {path.parent}: {error.strerror}") from None
    return await SqliteStore.open(path)
