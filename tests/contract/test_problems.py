"""What is wrong with a request, as clients are told."""

import msgspec
import pytest

from hubbub.contract import problems, requests, rest


def told(wanted: type[msgspec.Struct], request: dict[str, object]) -> tuple[str, str]:
    """The field and the problem that a wrong request is answered with."""
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(request, wanted)
    details = problems.refusal(error.value, wanted).details
    assert details is not None
    [problem] = details
    return problem.field, problem.problem


REGISTER = {"username": "ann", "password": "correct horse"}


@pytest.mark.parametrize(
    ("wanted", "request_", "field", "problem"),
    [
        (rest.Register, {**REGISTER, "password": "short"}, "password", "must have at least 8 characters"),
        (rest.Register, {**REGISTER, "password": "x" * 257}, "password", "must have at most 256 characters"),
        (rest.Register, {**REGISTER, "password": None}, "password", "must be text, not null"),
        (rest.Register, {**REGISTER, "email": 5}, "email", "must be text or null, not a whole number"),
        (rest.Register, {"username": "ann"}, "password", "is missing"),
        (rest.NewUser, {**REGISTER, "role": "chief"}, "role", "must be one of user, moderator, admin"),
        (
            rest.NewParticipant,
            {"userId": "x", "role": "chief"},
            "role",
            "must be one of user, moderator, admin",
        ),
        (rest.NewChat, {"name": ""}, "name", "must not be empty"),
        (rest.NewChat, {"name": "x", "isPublic": 1}, "isPublic", "must be true or false, not a whole number"),
        (
            rest.NewChat,
            {"name": "x", "participants": ["u"] * 501},
            "participants",
            "must have at most 500 members",
        ),
        (rest.NewChat, {"name": "x", "participants": {}}, "participants", "must be a list, not an object"),
        (requests.RoomList, {"limit": 0}, "limit", "must be at least 1"),
        (requests.RoomList, {"limit": 201}, "limit", "must be at most 200"),
        (requests.RoomList, {"limit": True}, "limit", "must be a whole number, not true or false"),
        (requests.RoomList, {"limit": 1.5}, "limit", "must be a whole number, not a decimal number"),
        (requests.JoinChat, {"chatId": b"x"}, "chatId", "must be text, not binary data"),
    ],
)
def test_in_words(
    wanted: type[msgspec.Struct], request_: dict[str, object], field: str, problem: str
) -> None:
    """The field as it is on the wire, and what would be right, without a word of Python."""
    assert told(wanted, request_) == (field, problem)
