"""`hubbub migrate` and `hubbub config`."""

import asyncio
from typing import Annotated

import typer

from hubbub.app.database import database_name, open_store
from hubbub.cli.desk import require_database
from hubbub.cli.flags import ABOUT_DATA, all_names, with_settings
from hubbub.cli.tables import show
from hubbub.settings import Settings, describe


@with_settings(*ABOUT_DATA)
def migrate(settings: Settings) -> None:
    """Bring the database to this version's tables; `serve` does so too. No server may have the file open."""
    require_database(settings)

    async def run() -> None:
        await (await open_store(settings)).close()

    asyncio.run(run())
    typer.echo(f"{database_name(settings)} is up to date")


@with_settings(*all_names())
def config(
    settings: Settings,
    dev: Annotated[bool, typer.Option("--dev", help="Those of the development profile.")] = False,  # noqa: ARG001 - `with_settings` reads it
) -> None:
    """Show the settings in force and where each came from; secrets are masked."""
    rows = [(one.name, one.value, one.source) for one in describe(settings)]
    show(("SETTING", "VALUE", "FROM"), rows)
