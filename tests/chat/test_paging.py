"""Cursors come back as what they stood for, and nothing else is taken for one."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.chat import paging
from hubbub.contract.errors import Code, RequestError
from hubbub.store import records

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=128)


def chat(chat_id: str, last_activity: int) -> records.Chat:
    """A chat of that id and time."""
    return records.Chat(
        id=chat_id,
        name="name",
        description=None,
        is_public=False,
        created_by="user",
        created_at=0,
        archived_at=None,
        last_seq=0,
        last_activity=last_activity,
        member_count=1,
    )


@given(TEXT)
def test_a_user_cursor_comes_back(user_id: str) -> None:
    """Every user id survives, foreign ones too."""
    assert paging.decode(paging.encode(user_id)) == user_id


@given(TEXT, st.integers(0, 2**53))
def test_a_chat_cursor_comes_back(chat_id: str, last_activity: int) -> None:
    """Both parts of a chat's place survive."""
    assert paging.decode_chat(paging.encode_chat(chat(chat_id, last_activity))) == (last_activity, chat_id)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "a",
        "abc",
        "YQ",
        "YQ==\n",
        " YQ==",
        "+/+/",
        "\ud800",
        "é",
        "_w==",
        "A" * 1028,
        "=" * 8,
        "YQ=a",
    ],
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    """Anything that no list has given out is an invalid `cursor`, never another error."""
    for decode in (paging.decode, paging.decode_chat):
        with pytest.raises(RequestError) as refusal:
            decode(cursor)
        assert refusal.value.code == Code.INVALID_REQUEST
        assert refusal.value.details is not None
        assert refusal.value.details[0].field == "cursor"


@pytest.mark.parametrize(
    "inside", ["user", "12", "x\nchat", "-1\nchat", "²\nchat", "9" * 40 + "\nchat", "\nchat"]
)
def test_a_cursor_of_another_list_is_no_chat_cursor(inside: str) -> None:
    """A chat's cursor holds a time and an id."""
    with pytest.raises(RequestError):
        paging.decode_chat(paging.encode(inside))


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(cursor: str) -> None:
    """Whatever a client sends is decoded or refused."""
    for decode in (paging.decode, paging.decode_chat):
        with contextlib.suppress(RequestError):
            decode(cursor)
