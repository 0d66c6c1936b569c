"""`hubbub backup`, `restore` and `check`: looking after the database (docs/operations.md)."""

from pathlib import Path
from typing import Annotated

import typer

from hubbub.app import upkeep
from hubbub.app.database import database_name
from hubbub.cli.flags import ABOUT_DATA, with_settings
from hubbub.cli.progress import progress_bar
from hubbub.cli.tables import printable
from hubbub.settings import Settings


@with_settings(*ABOUT_DATA)
def backup(
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; there must be no such file yet")],
) -> None:
    """Copy the database to FILE as it is now, also while the server runs."""
    with progress_bar() as report:
        upkeep.back_up(settings, file, report)
    typer.echo(f"{database_name(settings)} is backed up to {file}")


@with_settings(*ABOUT_DATA)
def restore(
    settings: Settings, file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup")]
) -> None:
    """Put a backup in the database's place, under a new epoch. No server may be running.

    The database before is kept beside it.
    """
    with progress_bar() as report:
        kept = upkeep.restore(settings, file, report)
    typer.echo(f"{database_name(settings)} is {file} now")
    if kept is not None:
        typer.echo(f"The database before is {kept}")


@with_settings(*ABOUT_DATA)
def check(settings: Settings) -> None:
    """Look through the database, also while the server runs: a line for each fault, and exit code 1.

    Numbers of messages, counts, members, receipts, recovery sessions, references, pages and indexes.
    """
    with progress_bar() as report:
        found = upkeep.check(settings, report)
    for finding in found.findings:
        typer.echo(printable(finding))
    if found.findings:
        raise typer.Exit(1)
    typer.echo(f"{database_name(settings)} is sound: {found.chats} chats, {found.messages} messages")
