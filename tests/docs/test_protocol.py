"""`docs/protocol.md` and `src/hubbub/contract` say the same: nothing stands in only one of them."""

import inspect
import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec
import pytest

from hubbub.chat.monitoring import EVENTS_KEPT
from hubbub.chat.overview import RECENT
from hubbub.chat.tokens import TokenProblem
from hubbub.contract import answers, errors, events, objects, requests, values
from hubbub.engineio import closing
from hubbub.gateway.dispatch import MOST_REFUSED
from hubbub.settings import ROWS
from hubbub.socketio import connection
from hubbub.socketio.packets import MAX_ATTACHMENTS, MAX_NAME_BYTES
from hubbub.socketio.payloads import MAX_DEPTH
from tests.docs.pages import ROOT, anchors, first_column, flat, links, sections

PAGE = ROOT / "docs" / "protocol.md"
SECTIONS = sections(PAGE)
TEXT = flat(PAGE.read_text())

REQUESTS = {request.event: request for request in requests.ALL}
ANSWER_TO = re.compile(r"To (?:a )?`([a-z:-]+)`")
CLOSED = [*vars(closing).values(), connection.CONNECT_TIMEOUT]


def structs(module: object, base: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The structs of a module that nothing else is derived from, beside those that come as a further form."""
    found = [one for one in vars(module).values() if inspect.isclass(one) and issubclass(one, base)]
    return [one for one in found if one is not base]


def wire_names(struct: type[msgspec.Struct]) -> set[str]:
    """The names of a struct's fields on the wire."""
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def answer_fields(event: str) -> set[str]:
    """What a request is answered, `success` left out: all fields of its answer's forms."""
    forms = [one for one in structs(answers, answers.Answer) if event in ANSWER_TO.findall(one.__doc__ or "")]
    assert forms, f"no struct of contract/answers.py says that it answers {event}"
    return set().union(*map(wire_names, forms)) - {"success"}


EVENTS = {
    one.event: one
    for one in structs(events, events.Event)
    if issubclass(one, events.Event) and isinstance(vars(one).get("event"), str)
}
OBJECTS = {one.__name__: one for one in structs(objects, objects.Object)}


def check_table(section: tuple[str, str], fields: Iterable[str]) -> None:
    """The first cells of a section's tables name these fields, and no others."""
    assert section in SECTIONS, f"protocol.md has no section {section}"
    assert sorted(set(first_column(SECTIONS[section]))) == sorted(set(fields)), section


@pytest.mark.parametrize("event", REQUESTS)
def test_request(event: str) -> None:
    """Every request has a section with all fields that it asks and is answered."""
    check_table(("Requests", f"`{event}`"), wire_names(REQUESTS[event]) | answer_fields(event))


@pytest.mark.parametrize("event", [*EVENTS, "message:new"])
def test_event(event: str) -> None:
    """Every broadcast has a section with all its fields."""
    struct = objects.Message if event == "message:new" else EVENTS[event]
    check_table(("Events", f"`{event}`"), wire_names(struct))


@pytest.mark.parametrize("name", OBJECTS)
def test_object(name: str) -> None:
    """Every object that they share has one too."""
    check_table(("Objects", name), wire_names(OBJECTS[name]))


@pytest.mark.parametrize(
    ("chapter", "names"),
    [
        ("Requests", {f"`{event}`" for event in REQUESTS}),
        ("Events", {f"`{event}`" for event in EVENTS} | {"`message:new`"}),
        ("Objects", set(OBJECTS)),
    ],
)
def test_nothing_else(chapter: str, names: set[str]) -> None:
    """The page has no section about something that the contract does not have."""
    assert {section for title, section in SECTIONS if title == chapter} - {""} == names


def test_failure_fields() -> None:
    """The fields of a failure, and every code."""
    named = first_column(SECTIONS["Failures", ""])
    assert wire_names(errors.Failure) <= set(named)
    assert set(errors.Code) <= set(named)


SAMPLES: dict[str, object] = {"retry_after": 1, "field": "x", "problem": "x", "message": "x", "names": ["x"]}


@pytest.mark.parametrize(
    "refuse",
    [one for one in vars(errors).values() if inspect.isfunction(one) and one is not errors.conflict],
)
def test_failure_text(refuse: object) -> None:
    """The code and the text of every failure stand in one row."""
    assert inspect.isfunction(refuse)
    needed = [
        name
        for name, one in inspect.signature(refuse).parameters.items()
        if one.default is inspect.Parameter.empty
    ]
    error = refuse(**{name: SAMPLES[name] for name in needed})
    assert isinstance(error, errors.RequestError)
    assert f"| `{error.code}` | `{error.message}` |" in TEXT


@pytest.mark.parametrize(
    "vocabulary",
    [values.MessageType, values.Status, values.ConnectionEventType, values.HealthStatus, values.Role],
)
def test_vocabulary(vocabulary: type[StrEnum]) -> None:
    """Every word that a field can have."""
    assert [word for word in vocabulary if f"`{word}`" not in TEXT] == []


def test_connect_errors() -> None:
    """Every reason for which a token lets nobody in."""
    assert [code for code in TokenProblem if f"| `Unauthorized` | `{code}` |" not in TEXT] == []


@pytest.mark.parametrize("reason", [one for one in CLOSED if isinstance(one, closing.CloseReason)])
def test_close_reason(reason: closing.CloseReason) -> None:
    """Every reason for which a connection ends, with its close code."""
    assert f"| `{reason.name}` | {reason.code} |" in TEXT


@pytest.mark.parametrize(
    "limit",
    [
        f"{values.MAX_CONTENT} characters",
        f"at most {values.MAX_QUEUE} messages",
        f"`limit` is 1 to {values.MAX_PAGE}",
        f"{MAX_DEPTH} levels",
        f"{MAX_NAME_BYTES} bytes",
        f"attachments of one packet | {MAX_ATTACHMENTS};",
        f"After {MOST_REFUSED} refusals",
        f"of the last {EVENTS_KEPT:,}".replace(",", " "),
        f"the newest {RECENT},",
    ],
)
def test_limit(limit: str) -> None:
    """Numbers that are no settings are the code's."""
    assert limit in TEXT


def test_settings() -> None:
    """Settings are named as they are, with their defaults."""
    named = re.findall(r"`([a-z]+(?:_[a-z]+)+)`(?: \(([^)]+)\)|, ([0-9][0-9a-z]*)\b)?", TEXT)
    others = {*values.ConnectionEventType, "connect_error"}
    for name, in_brackets, after_comma in named:
        if name not in others:
            assert name in ROWS, f"{name} is no setting"
            told = in_brackets or after_comma
            assert not told or told == ROWS[name].default_text, (
                f"{name} is {ROWS[name].default_text} by default"
            )


def test_links_to_objects() -> None:
    """A type in a table leads to the section of that name."""
    found = anchors(PAGE)
    for text, target in links(PAGE):
        if text in OBJECTS and target.startswith("#"):
            assert found[target[1:]] == text
