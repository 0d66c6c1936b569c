"""What is wrong with a request, in the words of the contract instead of the decoder's."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.inspect import EnumType, StructType, Type, UnionType, type_info

from hubbub.contract import errors, rest, values
from hubbub.contract.errors import RequestError

_PLACE: Final = re.compile(r" - at `\$\.?(?P<field>.*)`$")
_MISSING: Final = re.compile(r"missing required field `(?P<field>.+?)`")
_PATTERNS: Final = {
    values.PRINTABLE: "must not be empty or have control characters",
    rest.USERNAME: "may have only the letters A to Z and a to z, digits, `_`, `.` and `-`",
    rest.EMAIL: "is no e-mail address",
}
_TYPE: Final = re.compile(r"Expected `(?P<wanted>[\w |]+)`, got `(?P<given>\w+)`")
_LENGTH: Final = re.compile(r"Expected `(?P<of>str|array)` of length (?P<bound>[<>]=) (?P<count>\d+)")
_RANGE: Final = re.compile(r"Expected `\w+` (?P<bound>[<>]=) (?P<count>-?\d+)")
_KINDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a decimal number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "bytes": "binary data",
}
_MEMBERS: Final = {"str": "characters", "array": "members"}
_BOUNDS: Final = {">=": "at least", "<=": "at most"}


def refusal(error: msgspec.ValidationError, wanted: type[object]) -> RequestError:
    """The refusal of a request that is not as `wanted` has it; names the field as it is on the wire."""
    text = str(error)
    place = _PLACE.search(text)
    field = "" if place is None else place["field"].removesuffix("[...]")
    missing = _MISSING.search(text)
    if missing is not None:
        return errors.invalid(f"{field}.{missing['field']}".lstrip("."), "is missing")
    problem = text if place is None else text[: place.start()]
    return errors.invalid(field, _in_words(problem, field, wanted))


def _in_words(problem: str, field: str, wanted: type[object]) -> str:
    """What is wrong with a field, in words that need no knowledge of Python."""
    for pattern, words in _PATTERNS.items():
        if repr(pattern) in problem:
            return words
    if problem.startswith("Invalid enum value"):
        return f"must be one of {', '.join(_choices(wanted, field))}"
    if found := _TYPE.match(problem):
        kinds = " or ".join(_kind(name) for name in found["wanted"].split(" | "))
        return f"must be {kinds}, not {_kind(found['given'])}"
    if found := _LENGTH.match(problem):
        return _length(found)
    if found := _RANGE.match(problem):
        return f"must be {_BOUNDS[found['bound']]} {found['count']}"
    return problem


def _length(found: re.Match[str]) -> str:
    if (found["bound"], found["count"]) == (">=", "1"):
        return "must not be empty"
    return f"must have {_BOUNDS[found['bound']]} {found['count']} {_MEMBERS[found['of']]}"


def _kind(name: str) -> str:
    """A type by its name in JSON."""
    return _KINDS.get(name, name)


def _choices(wanted: type[object], name: str) -> Iterator[str]:
    """The words that a field may have."""
    struct = type_info(wanted)
    if isinstance(struct, StructType):
        for field in struct.fields:
            if field.encode_name == name:
                yield from _values(field.type)


def _values(kind: Type) -> Iterator[str]:
    if isinstance(kind, EnumType):
        yield from (str(member.value) for member in kind.cls)
    elif isinstance(kind, UnionType):
        for one in kind.types:
            yield from _values(one)
