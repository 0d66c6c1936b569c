"""Parameters that many routes have."""

from typing import Annotated

from litestar.params import Parameter

from hubbub.contract.values import MAX_PAGE

Limit = Annotated[int, Parameter(ge=1, le=MAX_PAGE, description="Most rows of the page")]
Cursor = Annotated[
    str | None,
    Parameter(max_length=1024, description="`nextCursor` of the page before; absent for the first"),
]
SeqBound = Annotated[int | None, Parameter(ge=0, le=2**53 - 1)]
