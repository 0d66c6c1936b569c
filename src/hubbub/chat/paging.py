"""Paging: cursors of lists, opaque to clients.

A cursor names the last row of a page by what the list is ordered by; rows that come or go in between move
no other row to another page. Every well-formed cursor is a valid place, also one whose row is gone.
"""

import base64
import binascii
from typing import Final

from hubbub.contract import errors
from hubbub.contract.errors import RequestError
from hubbub.store import records
from hubbub.store.base import Cursor

_LONGEST: Final = 1024
_SEPARATOR: Final = "\n"


def encode(user_id: str) -> str:
    """Return the cursor behind a user, in a list by user id."""
    return base64.urlsafe_b64encode(user_id.encode()).decode()


def decode(cursor: str) -> str:
    """Return the user id that a cursor names. Raises `RequestError` when it is none."""
    if not cursor.isascii() or not 0 < len(cursor) <= _LONGEST:
        raise _refusal()
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _refusal() from None


def encode_chat(chat: records.Chat) -> str:
    """Return the cursor behind a chat, in a list by last activity."""
    return encode(f"{chat.last_activity}{_SEPARATOR}{chat.id}")


def decode_chat(cursor: str) -> Cursor:
    """Return the last activity and chat id that a cursor names. Raises `RequestError` when it names none."""
    last_activity, separator, chat_id = decode(cursor).partition(_SEPARATOR)
    digits = last_activity.isascii() and last_activity.isdigit() and len(last_activity) <= len(str(2**53))
    if not separator or not digits:
        raise _refusal()
    return int(last_activity), chat_id


def _refusal() -> RequestError:
    return errors.invalid("cursor", "is not one that this list has given out")
