"""What routes ask for: parts of the chat, who asks, and parameters that many have."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter, SkipValidation

from hubbub.chat.accounts import Accounts
from hubbub.chat.chats import Chats
from hubbub.chat.overview import Overview
from hubbub.chat.tokens import Identity
from hubbub.contract.values import MAX_PAGE
from hubbub.http.metrics import Metrics


def named_user(request: Request[Any, Any, Any], behind: str) -> str:
    """Return the id that the path has behind this part of it.

    Ids of foreign tokens may hold slashes, two in a row too, which the router would fold into one.
    """
    raw: bytes = request.scope["raw_path"]
    return unquote(raw.decode("latin-1").partition(behind)[2])


Who = NamedDependency[Identity]
AccountsPart = NamedDependency[Accounts]
ChatsPart = NamedDependency[Chats]
OverviewPart = NamedDependency[Overview]
MetricsPart = NamedDependency[Metrics]
ProblemsPart = NamedDependency[SkipValidation[Callable[[], Awaitable[list[str]]]]]
Address = NamedDependency[str]

ChatId = Annotated[str, PathParameter(description="Id of a chat")]
UserId = Annotated[str, PathParameter(description="Id of a user")]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="Most rows of the page")]
Cursor = Annotated[
    str | None,
    QueryParameter(max_length=1024, description="`nextCursor` of the page before; absent for the first"),
]
LoginName = Annotated[
    str | None, QueryParameter(max_length=254, description="Name, e-mail address or id of the one user")
]
NodeName = Annotated[
    str | None, QueryParameter(max_length=128, description="Name of the one node; absent for all together")
]
After = Annotated[int | None, QueryParameter(ge=0, le=2**53 - 1, description="Messages with a higher `seq`")]
Before = Annotated[int | None, QueryParameter(ge=0, le=2**53 - 1, description="Messages with a lower `seq`")]
