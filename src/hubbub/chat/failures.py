"""What a refusal of the store means for a client: the one translation from the store's errors."""

from hubbub.contract import errors
from hubbub.contract.errors import RequestError
from hubbub.store import base as store


def translate(error: Exception) -> RequestError | None:
    """Return what the client is answered, or None when the error is a defect of ours."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, store.NotMember):
        return errors.chat_not_found()
    if isinstance(error, store.ChatArchived):
        return errors.chat_archived()
    if isinstance(error, store.MessageMissing):
        return errors.message_not_found()
    if isinstance(error, store.Conflict):
        return errors.conflict(_CONFLICTS.get(error.what, f"{error.what} is already in use"))
    if isinstance(error, store.StoreUnavailable):
        return errors.unavailable()
    return None


_CONFLICTS = {"clientMessageId": "clientMessageId was used for another message"}
