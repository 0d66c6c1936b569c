"""Where the database is."""

from pathlib import Path

from hubbub.settings import Settings

_SQLITE = "sqlite:///"


def database_path(settings: Settings) -> Path:
    """The file of the database that the settings name."""
    return Path(settings.store_url.removeprefix(_SQLITE))
