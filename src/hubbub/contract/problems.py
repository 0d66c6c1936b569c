"""What is wrong with a request, in the words of the contract instead of the decoder's."""

import re
from typing import Final

import msgspec

from hubbub.contract import errors, rest, values
from hubbub.contract.errors import RequestError

_PLACE: Final = re.compile(r" - at `\$\.?(?P<field>.*)`$")
_MISSING: Final = re.compile(r"missing required field `(?P<field>.+?)`")
_PATTERNS: Final = {
    values.PRINTABLE: "must not be empty or have control characters",
    rest.USERNAME: "may have only the letters A to Z and a to z, digits, `_`, `.` and `-`",
    rest.EMAIL: "is no e-mail address",
}


def refusal(error: msgspec.ValidationError) -> RequestError:
    """The refusal of a request that is not as its struct wants it; names the field as it is on the wire."""
    text = str(error)
    place = _PLACE.search(text)
    field = "" if place is None else place["field"].removesuffix("[...]")
    missing = _MISSING.search(text)
    if missing is not None:
        return errors.invalid(f"{field}.{missing['field']}".lstrip("."), "is missing")
    problem = text if place is None else text[: place.start()]
    for pattern, wanted in _PATTERNS.items():
        if repr(pattern) in problem:
            problem = wanted
    return errors.invalid(field, problem)
