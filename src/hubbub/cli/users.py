"""`hubbub user`: who may come in."""

import sys
from typing import Annotated
from urllib.parse import quote

import typer

from hubbub.cli.desk import Desk, at_desk
from hubbub.cli.flags import ABOUT_DATA, Failed, with_settings
from hubbub.cli.tables import show, show_json
from hubbub.contract import rest
from hubbub.contract.values import MAX_PAGE, Role
from hubbub.settings import Settings

app = typer.Typer(help="Users: add, list, disable, enable, password.", no_args_is_help=True)

Login = Annotated[str, typer.Argument(metavar="USER", help="Name, e-mail address or id")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


def read_password() -> str:
    """Ask for a new password, twice; a program gives it as the first line of stdin."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise Failed("no password: give it as a line on stdin")
    return password


@app.command()
@with_settings(*ABOUT_DATA)
def add(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name to log in by")],
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="E-mail address")] = None,
    role: Annotated[Role, typer.Option(help="What the user may do on the whole server")] = Role.USER,
) -> None:
    """Make a user who logs in with a password, and print the user's id."""
    body = {"username": name, "email": email, "role": role, "password": read_password()}
    user = at_desk(settings, lambda desk: desk.post("/users", body, rest.UserDetails))
    typer.echo(user.id)


@app.command("list")
@with_settings(*ABOUT_DATA)
def list_users(settings: Settings, as_json: AsJson = False) -> None:
    """List all users by name."""
    users = at_desk(settings, all_users)
    if as_json:
        show_json(users)
        return
    headings = ("NAME", "ID", "E-MAIL", "ROLE", "ACTIVE", "LAST SEEN")
    rows = [
        (
            *(user.username, user.id, user.email or "", user.role),
            *("yes" if user.active else "no", user.last_seen or "never"),
        )
        for user in users
    ]
    show(headings, rows)


async def all_users(desk: Desk) -> list[rest.UserDetails]:
    """Every page of users."""
    users: list[rest.UserDetails] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"cursor": cursor} if cursor else {}
        page = await desk.get("/users", rest.UserList, limit=MAX_PAGE, **params)
        users += page.users
        cursor = page.next_cursor
    return users


@app.command()
@with_settings(*ABOUT_DATA)
def disable(settings: Settings, login: Login) -> None:
    """Switch a user off: no token and no password lets the user in, and connected sockets are cut."""
    change(settings, login, {"active": False})


@app.command()
@with_settings(*ABOUT_DATA)
def enable(settings: Settings, login: Login) -> None:
    """Switch a user on again."""
    change(settings, login, {"active": True})


@app.command()
@with_settings(*ABOUT_DATA)
def password(settings: Settings, login: Login) -> None:
    """Replace a user's password."""
    change(settings, login, {"password": read_password()})


def change(settings: Settings, login: str, body: dict[str, bool | str]) -> None:
    """Change a user."""

    async def work(desk: Desk) -> None:
        user = await desk.user(login)
        await desk.patch(f"/users/{quote(user.id)}", body, rest.UserDetails)

    at_desk(settings, work)
