"""The commands, put together."""

from typing import Annotated

import typer

from hubbub import __version__
from hubbub.app import serve as run_server
from hubbub.cli import chats, maintenance, tokens, upkeep, users
from hubbub.cli.flags import all_names, with_settings
from hubbub.settings import Settings

app = typer.Typer(
    name="hubbub",
    help="A self-hosted chat server that any Socket.IO client talks to.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"hubbub {__version__}")
        raise typer.Exit


@app.callback()
def everything(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A self-hosted chat server that any Socket.IO client talks to."""


app.command()(tokens.token)
app.add_typer(users.app, name="user")
app.add_typer(chats.app, name="chat")
app.command()(upkeep.backup)
app.command()(upkeep.restore)
app.command()(upkeep.check)
app.command()(maintenance.migrate)
app.command()(maintenance.config)


@app.command()
@with_settings(*all_names())
def serve(
    settings: Settings,
    dev: Annotated[
        bool, typer.Option("--dev", help="Development profile: no connection limit, a demo chat, a banner.")
    ] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    raise typer.Exit(run_server(settings, dev=dev))


def main() -> None:
    """Run the command line."""
    app()
