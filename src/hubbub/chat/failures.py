"""What a refusal of the store means for a client: the one translation from the store's errors."""

from collections.abc import Callable
from typing import Final

from hubbub.contract import errors
from hubbub.contract.errors import RequestError
from hubbub.store import base as store


def translate(error: Exception) -> RequestError | None:
    """Return what the client is answered, or None when the error is a defect of ours."""
    match error:
        case RequestError():
            return error
        case store.Conflict():
            return errors.conflict(_CONFLICTS.get(error.what, f"{error.what} is already in use"))
        case store.StoreError() if type(error) in _REFUSALS:
            return _REFUSALS[type(error)]()
        case _:
            return None


_REFUSALS: Final[dict[type[store.StoreError], Callable[[], RequestError]]] = {
    store.NotMember: errors.chat_not_found,
    store.ChatArchived: errors.chat_archived,
    store.MessageMissing: errors.message_not_found,
    store.StoreUnavailable: errors.unavailable,
    store.Unstorable: errors.unstorable,
}
_CONFLICTS: Final = {"clientMessageId": "clientMessageId was used for another message"}
