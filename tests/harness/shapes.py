"""The document's fields and formats: a small language of shapes and the comparison with what came.

A dict has exactly these keys (a key that ends with `?` may be missing), a list of one shape holds any number
of such things, a `Check` tells for itself, anything else must be equal, type included.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Check:
    """A named test of one value."""

    name: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TEXT = Check("text", lambda v: isinstance(v, str) and v != "")
TIME = Check("ISO 8601 UTC time with milliseconds", lambda v: isinstance(v, str) and bool(ISO.fullmatch(v)))
UUID = Check("UUIDv7", lambda v: isinstance(v, str) and bool(UUID7.fullmatch(v)))
COUNT = Check("whole number from 0 on", lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0)
NUMBER = Check("number from 0 on", lambda v: _is_number(v) and v >= 0)
SHARE = Check("number from 0 to 1", lambda v: _is_number(v) and 0 <= v <= 1)
FLAG = Check("true or false", lambda v: isinstance(v, bool))
OBJECT = Check("object", lambda v: isinstance(v, dict))
ADDRESS = Check("loopback address", lambda v: v in ("127.0.0.1", "::1"))


def one_of(*shapes: Any) -> Check:
    """Any of these shapes."""
    names = " or ".join(shape.name if isinstance(shape, Check) else repr(shape) for shape in shapes)
    return Check(names, lambda value: any(not differences(value, shape) for shape in shapes))


def differences(value: Any, shape: Any, where: str = "$") -> list[str]:
    """What is not as the shape says, one line each; empty when all is."""
    if isinstance(shape, Check):
        return [] if shape.accepts(value) else [f"{where}: {value!r} is not {shape.name}"]
    if isinstance(shape, dict):
        return _object_differences(value, shape, where)
    if isinstance(shape, list) and len(shape) == 1:
        if not isinstance(value, list):
            return [f"{where}: {value!r} is not a list"]
        return [d for i, item in enumerate(value) for d in differences(item, shape[0], f"{where}[{i}]")]
    same = value == shape and isinstance(value, bool) == isinstance(shape, bool)
    return [] if same else [f"{where}: {value!r} is not {shape!r}"]


def _object_differences(value: Any, shape: dict[str, Any], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is not an object"]
    fields = {key.removesuffix("?"): part for key, part in shape.items()}
    needed = {key for key in shape if not key.endswith("?")}
    found = [f"{where}.{key} is missing" for key in sorted(needed - value.keys())]
    found += [
        f"{where}.{key} is not documented: {value[key]!r}" for key in sorted(value.keys() - fields.keys())
    ]
    for key in sorted(fields.keys() & value.keys()):
        found += differences(value[key], fields[key], f"{where}.{key}")
    return found


def check(value: Any, shape: Any) -> None:
    """Fail with all differences."""
    found = differences(value, shape)
    assert not found, "not as documented:\n  " + "\n  ".join(found)


def failure(message: str, code: str, **more: Any) -> dict[str, Any]:
    """The shape of a failed answer."""
    return {"success": False, "message": message, "code": code, **more}


DETAILS = Check(
    "a list of {field, problem}",
    lambda v: isinstance(v, list) and len(v) > 0 and not differences(v, [{"field": TEXT, "problem": TEXT}]),
)


def invalid(message: str = "Invalid request data") -> dict[str, Any]:
    """The shape of the answer to a request with a wrong field."""
    return failure(message, "INVALID_REQUEST", details=DETAILS)


RETRY_AFTER = Check(
    "whole seconds from 1 on", lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 1
)
