"""Flags for settings: derived from the table of settings, so that no setting is named twice.

A command decorated with `with_settings("host", "port")` gets a `Settings` as its first argument, and these
flags and `--config` in its help; whatever is wrong with a value ends it with one line and exit code 2.
"""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hubbub.app import StartError
from hubbub.settings import ROWS, Row, Settings, SettingsError, load_settings

Command = Callable[..., None]

ABOUT_DATA = ("data_dir", "database_url")
"""The settings that say which database."""


class Failed(Exception):
    """The command cannot do what it was asked for; the message is one line that says why."""


def with_settings(*names: str, config_help: str = "TOML file of settings") -> Callable[[Command], Command]:
    """Decorate a command whose first parameter is the settings in force."""

    def decorate(command: Command) -> Command:
        def run(**given: Any) -> None:
            flags = {name: given.pop(name) for name in names}
            config = given.pop("config")
            report(lambda: command(load(flags, config, development=given.get("dev", False)), **given))

        own = list(inspect.signature(command).parameters.values())[1:]
        mine = [parameter(ROWS[name]) for name in names]
        run.__signature__ = inspect.Signature([*own, *mine, config_parameter(config_help)])  # type: ignore[attr-defined] # inspect reads it
        run.__annotations__ = {one.name: one.annotation for one in run.__signature__.parameters.values()}  # type: ignore[attr-defined] # as above
        run.__doc__ = command.__doc__
        run.__name__ = command.__name__
        return run

    return decorate


def load(flags: dict[str, str | None], config: Path | None, *, development: bool) -> Settings:
    """The settings in force, given what stood on the command line."""
    chosen = {name: text for name, text in flags.items() if text is not None}
    return load_settings(chosen, config=config, development=development)


def report(run: Callable[[], None]) -> None:
    """Run a command; a failure of a known kind is one line on stderr and exit code 2."""
    try:
        run()
    except (Failed, SettingsError, StartError) as error:
        typer.echo(f"hubbub: {error}", err=True)
        raise typer.Exit(2) from None


def parameter(row: Row) -> inspect.Parameter:
    """A setting as a flag."""
    default = f", else {row.default_text}" if row.default_text else ""
    option = typer.Option(
        row.flag,
        metavar=row.kind.metavar,
        help=f"{row.about}; {row.environment}{default}",
        show_default=False,
        rich_help_panel="Settings",
    )
    return inspect.Parameter(
        row.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )


def config_parameter(about: str) -> inspect.Parameter:
    """The flag that names the settings file."""
    option = typer.Option(
        "--config",
        metavar="PATH",
        help=f"{about}; HUBBUB_CONFIG, else hubbub.toml if there is one",
        show_default=False,
        rich_help_panel="Settings",
    )
    return inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[Path | None, option],
    )


def all_names() -> Sequence[str]:
    """The names of all settings, in the order of the table."""
    return tuple(ROWS)
