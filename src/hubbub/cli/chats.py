"""`hubbub chat`: chats and their members."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from hubbub.cli.desk import Desk, at_desk
from hubbub.cli.flags import ABOUT_DATA, with_settings
from hubbub.cli.tables import show, show_json
from hubbub.cli.users import AsJson, Login
from hubbub.contract import rest
from hubbub.contract.values import MAX_PAGE, Role
from hubbub.settings import Settings

app = typer.Typer(help="Chats: create, list, add, remove, archive.", no_args_is_help=True)

ChatId = Annotated[str, typer.Argument(metavar="CHAT", help="Id of the chat")]


@app.command()
@with_settings(*ABOUT_DATA)
def create(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    owner: Annotated[
        str, typer.Option(metavar="USER", help="Who becomes its admin: name, e-mail address or id")
    ],
    member: Annotated[
        list[str] | None, typer.Option(metavar="USER", help="A further member; repeatable")
    ] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT")] = None,
    public: Annotated[bool, typer.Option("--public", help="Anybody may join.")] = False,
) -> None:
    """Make a chat, and print its id."""

    async def work(desk: Desk) -> rest.Chat:
        acting = await desk.user(owner)
        participants = [(await desk.user(one)).id for one in member or ()]
        body = {
            "name": name,
            "description": description,
            "isPublic": public,
            "participants": participants,
        }
        return await desk.post("/chats", body, rest.Chat, acting)

    typer.echo(at_desk(settings, work).id)


@app.command("list")
@with_settings(*ABOUT_DATA)
def list_chats(settings: Settings, as_json: AsJson = False) -> None:
    """List all chats, newest activity first."""
    chats = at_desk(settings, all_chats)
    if as_json:
        show_json(chats)
        return
    headings = ("ID", "NAME", "MEMBERS", "MESSAGES", "PUBLIC", "ARCHIVED", "LAST ACTIVITY")
    rows = [
        (
            *(chat.id, chat.name, str(chat.participant_count), str(chat.last_seq)),
            *("yes" if chat.is_public else "no", "no" if chat.is_active else "yes", chat.last_activity),
        )
        for chat in chats
    ]
    show(headings, rows)


async def all_chats(desk: Desk) -> list[rest.ListedChat]:
    """Every page of chats."""
    chats: list[rest.ListedChat] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"cursor": cursor} if cursor else {}
        page = await desk.get("/chats", rest.ChatList, all="true", limit=MAX_PAGE, **params)
        chats += page.chats
        cursor = page.next_cursor
    return chats


@app.command()
@with_settings(*ABOUT_DATA)
def add(
    settings: Settings,
    chat_id: ChatId,
    login: Login,
    role: Annotated[Role | None, typer.Option(help="What the member may do in the chat")] = None,
) -> None:
    """Make a user a member, or give a member another role."""

    async def work(desk: Desk) -> None:
        body: dict[str, Any] = {"userId": (await desk.user(login)).id}
        if role is not None:
            body["role"] = role
        await desk.post(f"/chats/{quote(chat_id, safe='')}/participants", body, rest.Participant)

    at_desk(settings, work)


@app.command()
@with_settings(*ABOUT_DATA)
def remove(settings: Settings, chat_id: ChatId, login: Login) -> None:
    """End a user's membership; connected sockets leave the room."""

    async def work(desk: Desk) -> None:
        user = await desk.user(login)
        await desk.delete(f"/chats/{quote(chat_id, safe='')}/participants/{quote(user.id)}")

    at_desk(settings, work)


@app.command()
@with_settings(*ABOUT_DATA)
def archive(
    settings: Settings,
    chat_id: ChatId,
    undo: Annotated[bool, typer.Option("--undo", help="Let the chat take messages again.")] = False,
) -> None:
    """Let a chat take no more messages; what it has stays readable."""
    body = {"archived": not undo}
    at_desk(settings, lambda desk: desk.patch(f"/chats/{quote(chat_id, safe='')}", body, rest.Chat))
