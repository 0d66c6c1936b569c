"""Routes of chats, their participants and their history."""

from typing import Annotated, Any

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter

from hubbub.contract import rest
from hubbub.http.bodies import Body
from hubbub.http.failures import documented
from hubbub.http.places import After, Before, ChatId, ChatsPart, Cursor, Limit, UserId, Who, named_user

CHAT = "/{chat_id:str}"


@post("/", summary="Make a chat", dto=Body[rest.NewChat], responses=documented(400, 401, 404, 429))
async def create_chat(data: JSONBody[rest.NewChat], who: Who, chats: ChatsPart) -> rest.Chat:
    """Answer with the new chat, whose admin is its maker."""
    return await chats.create(who, data)


@get("/", summary="List one's chats, newest activity first", responses=documented(400, 401, 403, 429))
async def list_chats(
    who: Who,
    chats: ChatsPart,
    cursor: Cursor = None,
    limit: Limit = 50,
    whole: Annotated[bool, QueryParameter(name="all", description="All chats there are (admins)")] = False,
) -> rest.ChatList:
    """Answer with a page of the asker's chats, or of all."""
    if whole:
        return await chats.page_of_all(who, cursor, limit)
    return await chats.page(who.user_id, cursor, limit)


@get(CHAT, summary="Look at a chat", responses=documented(400, 401, 404, 429))
async def look_at_chat(chat_id: ChatId, who: Who, chats: ChatsPart) -> rest.Chat:
    """Answer with a chat that the asker may see."""
    return await chats.look(who, chat_id)


@patch(
    CHAT,
    summary="Rename, describe, archive or revive a chat (its admins)",
    dto=Body[rest.ChatChange],
    responses=documented(400, 401, 403, 404, 429),
)
async def change_chat(
    data: JSONBody[rest.ChatChange], chat_id: ChatId, who: Who, chats: ChatsPart
) -> rest.Chat:
    """Answer with the changed chat."""
    return await chats.change(who, chat_id, data)


@get(f"{CHAT}/participants", summary="List a chat's members", responses=documented(400, 401, 404, 429))
async def list_participants(
    chat_id: ChatId, who: Who, chats: ChatsPart, cursor: Cursor = None, limit: Limit = 50
) -> rest.ParticipantList:
    """Answer with a page of members, by user id."""
    return await chats.participants(who, chat_id, cursor, limit)


@post(
    f"{CHAT}/participants",
    summary="Add a member, or give a member another role (admins and moderators of the chat)",
    dto=Body[rest.NewParticipant],
    responses=documented(400, 401, 403, 404, 409, 429),
)
async def add_participant(
    data: JSONBody[rest.NewParticipant], chat_id: ChatId, who: Who, chats: ChatsPart
) -> Response[rest.Participant]:
    """Answer with the member: 201 when new, 200 when it was one before."""
    participant, added = await chats.add(who, chat_id, data)
    return Response(participant, status_code=201 if added else 200)


@delete(
    f"{CHAT}/participants/{{user_id:path}}",
    summary="Remove a member (admins and moderators of the chat), or leave it",
    responses=documented(400, 401, 403, 404, 409, 429),
)
async def remove_participant(
    chat_id: ChatId,
    user_id: UserId,  # noqa: ARG001 - for the OpenAPI document; `named_user` reads it exactly
    who: Who,
    chats: ChatsPart,
    request: Request[Any, Any, Any],
) -> None:
    """Answer with nothing once the membership has ended."""
    await chats.remove(who, chat_id, named_user(request, "/participants/"))


@get(
    f"{CHAT}/messages",
    summary="Read a chat's history by `seq` (its members)",
    description=(
        "With `after`, the oldest messages behind that `seq`; otherwise the newest, or the newest before "
        "`before`. Oldest first in either case."
    ),
    responses=documented(400, 401, 404, 429),
)
async def read_history(
    chat_id: ChatId,
    who: Who,
    chats: ChatsPart,
    after: After = None,
    before: Before = None,
    limit: Limit = 50,
) -> rest.History:
    """Answer with messages."""
    return await chats.history(who, chat_id, after, before, limit)


chats = Router(
    "/chats",
    route_handlers=[
        create_chat,
        list_chats,
        look_at_chat,
        change_chat,
        list_participants,
        add_participant,
        remove_participant,
        read_history,
    ],
    tags=["Chats"],
)
