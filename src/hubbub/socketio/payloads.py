"""The JSON of a packet: read strictly on the way in, parted from its bytes on the way out. Pure functions.

In:  text -> depth -> one msgspec decode -> placeholders, looked for only where the text may hold one.
Out: bytes are taken out of lists, tuples and dicts and a placeholder left for each -> one msgspec encode.
"""

import math
import re
from collections.abc import Sequence
from itertools import accumulate

import msgspec

MAX_DEPTH = 32
"""How deep arrays and objects of a packet may nest. Checked before anything recurses."""

MAX_VALUES = 10_000
"""How many arrays, objects and elements behind the first a packet may have: a parsed one takes 50 times the
memory of its text, and many of them may wait to be handled."""

PLACEHOLDER = "_placeholder"
"""The key that marks where an attachment belongs; no other object of a packet may have it."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SCALARS = frozenset({str, int, float, bool, type(None), msgspec.Raw})


def read_float(digits: str) -> float:
    """Return a number of a JSON text. Raises `ValueError` for one that no double can hold.

    msgspec's own way takes 15 us for numbers like 1e308: a packet full of them would stop the server.
    """
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number outside the range of a double")
    return number


_decode_array = msgspec.json.Decoder(list[object], float_hook=read_float).decode
_decode_object = msgspec.json.Decoder(dict[str, object], float_hook=read_float).decode
encode_json = msgspec.json.Encoder().encode
"""`value` as JSON that any client reads. Bytes in it become base64 text: see `dump`."""

Place = tuple[list[object] | dict[str, object], int | str, int]
"""Where an attachment belongs: the list or object, the index or key in it, the attachment's number."""


class PacketError(ValueError):
    """What the other side sent is no packet of the protocol; its connection has to be closed.

    The text is fit for a log: it says what is wrong and quotes nothing that was sent.
    """


def parse_array(text: str) -> list[object]:
    """The array that `text` is.

    Refused with `PacketError`: whatever is not JSON of RFC 8259, `NaN` and numbers outside the range of a
    double, integers of more than 4300 digits, lone surrogates, nesting deeper than `MAX_DEPTH`. Integers are
    exact, so a caller who stores them has to bound them.
    """
    _check_shape(text, "[")
    try:
        return _decode_array(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise PacketError("the payload is not a valid JSON array") from error


def parse_object(text: str) -> dict[str, object]:
    """The object that `text` is; as strict as `parse_array`."""
    _check_shape(text, "{")
    try:
        return _decode_object(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise PacketError("the payload is not a valid JSON object") from error


def _check_shape(text: str, opening: str) -> None:
    """Refuse what does not begin with `opening`, nests too deep or has too many values; without recursion."""
    if not text.startswith(opening):
        raise PacketError("the payload is missing or of the wrong type")
    if len(text) <= MAX_VALUES and text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    bare = _STRING.sub(b"", text.encode("utf-8", "replace"))
    if bare.count(b",") + bare.count(b"[") + bare.count(b"{") > MAX_VALUES:
        raise PacketError(f"the payload has more than {MAX_VALUES} values")
    brackets = bare.translate(_STEPS, _NO_BRACKETS)
    if max(accumulate(memoryview(brackets).cast("b")), default=0) > MAX_DEPTH:
        raise PacketError(f"the payload nests deeper than {MAX_DEPTH} levels")


def find_places(payload: list[object], text: str, attachments: int) -> tuple[Place, ...]:
    """Where each of the announced attachments belongs in `payload`, which was parsed from `text`.

    Raises `PacketError` unless every attachment has exactly one place, and for any other object with the key
    `_placeholder`: sent on beside real attachments it would stand for one of those.
    """
    if not attachments and PLACEHOLDER not in text and "\\u00" not in text:  # a key may be spelt with escapes
        return ()
    places: list[Place] = []
    _collect_places(payload, places)
    if sorted(number for _, _, number in places) != list(range(attachments)):
        raise PacketError("the placeholders do not match the attachments")
    return tuple(places)


def _collect_places(container: list[object] | dict[str, object], places: list[Place]) -> None:
    """Append the placeholders in `container` to `places`."""
    for key, value in container.items() if isinstance(container, dict) else enumerate(container):
        if isinstance(value, dict) and PLACEHOLDER in value:
            places.append((container, key, _read_placeholder(value)))
        elif isinstance(value, (dict, list)):
            _collect_places(value, places)


def _read_placeholder(value: dict[str, object]) -> int:
    """The number of the attachment that `value` stands for."""
    number = value.get("num")
    if len(value) != 2 or value[PLACEHOLDER] is not True or type(number) is not int:
        raise PacketError("a malformed placeholder")
    return number


def fill_places(places: Sequence[Place], attachments: Sequence[bytes]) -> None:
    """Put the attachments where `find_places` found that they belong."""
    for container, key, number in places:
        container[key] = attachments[number]  # type: ignore[index]  # the key came from this very container


def dump(values: list[object]) -> tuple[bytes, list[bytes]]:
    """`values` as a JSON array, and the attachments taken out of it.

    Bytes, bytearrays and memoryviews become attachments where they stand in lists, tuples and dicts. msgspec
    structs and `msgspec.Raw` are encoded as they are; bytes inside a struct become base64 text.
    """
    attachments: list[bytes] = []
    for one in values:
        # Nearly everything is told by its type.
        if type(one) not in _SCALARS and not isinstance(one, msgspec.Struct) and _has_bytes(one):
            return encode_json(_detach(values, attachments)), attachments
    return encode_json(values), attachments


def _has_bytes(value: object) -> bool:
    """Whether anything in `value` has to travel as an attachment."""
    if type(value) in _SCALARS:
        return False
    if isinstance(value, dict):
        return any(map(_has_bytes, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_bytes, value))
    return isinstance(value, (bytes, bytearray, memoryview))


def _detach(value: object, attachments: list[bytes]) -> object:
    """A copy of `value` with a placeholder for each of its bytes, which are appended to `attachments`."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        attachments.append(bytes(value))
        return {PLACEHOLDER: True, "num": len(attachments) - 1}
    if isinstance(value, dict):
        return {key: _detach(item, attachments) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_detach(item, attachments) for item in value]
    return value
