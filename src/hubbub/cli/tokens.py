"""`hubbub token`: an access token signed with the server's secret, whether the server runs or not."""

from typing import Annotated

import typer

from hubbub.app import StartError
from hubbub.app.database import database_path, is_shared
from hubbub.chat.tokens import issue
from hubbub.cli.desk import as_record, at_desk, can_sign, shared_signatures
from hubbub.cli.flags import Failed, with_settings
from hubbub.contract.values import Role, now
from hubbub.settings import LONGEST, Settings, duration_text, parse_duration
from hubbub.store import records

ABOUT_TOKENS = ("data_dir", "database_url", "jwt_secret", "jwt_algorithms", "jwt_issuer", "jwt_audience")
LONGEST_NAME = 128
MOST = duration_text(LONGEST)


@with_settings(*ABOUT_TOKENS)
def token(
    settings: Settings,
    username: Annotated[str, typer.Option(metavar="NAME", help="Name that others see")],
    user_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Id; else that of the registered user of that name, else the name"),
    ] = None,
    role: Annotated[Role | None, typer.Option(help="Role; else the registered user's, else user")] = None,
    ttl: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it is good, like 15m, 1h or 7d")
    ] = "1h",
) -> None:
    """Print an access token, and nothing else, for a user of any name."""
    seconds = read_ttl(ttl)
    for flag, name in (("--username", username), ("--user-id", user_id)):
        if name is not None and not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
            raise Failed(f"{flag}: 1 to {LONGEST_NAME} printable characters, please")
    if not can_sign(settings):
        raise Failed("jwt_algorithms has no HS algorithm: tokens come from elsewhere")
    signatures = shared_signatures(settings)
    user = somebody(username, user_id) if user_id is not None else registered(settings, username)
    if role is not None:
        user = records.User(
            id=user.id, username=user.username, email=user.email, role=role, active=True, created_at=0
        )
    typer.echo(issue(signatures, user, seconds, now())[0])


def read_ttl(text: str) -> float:
    """Seconds from a text like `1h`."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if seconds < 1:
        raise Failed(f"--ttl: {text!r} will not do; give a duration from 1s to {MOST}, like 15m, 1h or 7d")
    return seconds


def somebody(username: str, user_id: str) -> records.User:
    """A user who need not be stored anywhere."""
    return records.User(id=user_id, username=username, email=None, role=Role.USER, active=True, created_at=0)


def registered(settings: Settings, username: str) -> records.User:
    """The registered user of that name; when none is found, one whose id is the name."""
    if not (is_shared(settings) or database_path(settings).exists()):
        return somebody(username, username)
    try:
        found = at_desk(settings, lambda desk: desk.find_named(username))
    except (StartError, Failed) as error:
        remark(f"registered users could not be looked up, so the id is {username!r}: {error}")
        return somebody(username, username)
    if found is None:
        return somebody(username, username)
    if found.id != username:
        remark(f"{username} is the registered user {found.id}; for another one, give --user-id")
    if not found.active:
        remark(f"{username} is switched off: the token lets nobody in before `hubbub user enable {username}`")
    return as_record(found)


def remark(words: str) -> None:
    """Say something beside the token, which stays alone on stdout."""
    typer.echo(f"hubbub: {words}", err=True)
